"""`bacalhau ls`: what is in a directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import UnavailableError

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
            rows = (_row(reader, *link) for link in links_of(store, cid))
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
        yield _row(reader, name, cid)
        return
    for entry, link in reader.entries(cid):
        yield _row(reader, entry, link.cid)


def _row(reader: UnixfsReader, name: str, cid: CID) -> dict[str, Any]:
    """Return one row; of an entry whose block is not here only the name and the CID are known."""
    if codec_of(cid) == DAG_CBOR:
        return {"name": name, "kind": "data", "size": None, "cid": cid_text(cid)}
    try:
        stat = reader.stat(cid)
    except UnavailableError:
        return {"name": name, "kind": None, "size": None, "cid": cid_text(cid)}
    size = None if stat.kind == "directory" else stat.size
    return {"name": name, "kind": stat.kind, "size": size, "cid": cid_text(cid)}
