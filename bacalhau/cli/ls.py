"""`bacalhau ls`: what is in a directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.content_row import content_row
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, DAG_CBOR, codec_of

if TYPE_CHECKING:
    from storage.unixfs_read import UnixfsReader


@click.command("ls", short_help="List a directory in the store.")
@click.argument("content", metavar="CID[/path]")
@json_option
@click.pass_context
def command(ctx: click.Context, /, content: str, as_json: bool) -> int:
    """List the entries of a directory: kind, size, CID and name. A file is listed as itself.

    Of a record, task or other data it lists the links, each under the path that leads to it: `CID/output`.
    """
    from bacalhau.render import print_json, print_text
    from bacalhau.targets import split_content
    from bacalhau.terminal_text import visible
    from storage.ipld_path import check_unixfs, content_at, links_of
    from storage.unixfs_read import UnixfsReader

    root, path = split_content(content)
    with services_of(ctx).open_store() as store:
        reader = UnixfsReader(store)
        cid = content_at(store, root, path)
        rows: Iterator[dict[str, Any]]
        if codec_of(cid) == DAG_CBOR:
            rows = (content_row(reader, *link) for link in links_of(store, cid))
        else:
            check_unixfs(store, cid, content)
            rows = list_rows(reader, cid, path.rstrip("/").rpartition("/")[2])
        for row in rows:
            if as_json:
                print_json(row)
            else:
                size = "-" if row["size"] is None else row["size"]
                print_text(f"{row['kind'] or 'unknown':<9} {size:>12} {row['cid']}  {visible(row['name'])}")
    return ExitCode.DONE


def list_rows(reader: UnixfsReader, cid: CID, name: str) -> Iterator[dict[str, Any]]:
    """Yield what `ls` prints: the entries of a directory, or the file itself under the name it was asked by."""
    if reader.stat(cid).kind != "directory":
        yield content_row(reader, name, cid)
        return
    for entry, link in reader.entries(cid):
        yield content_row(reader, entry, link.cid)
