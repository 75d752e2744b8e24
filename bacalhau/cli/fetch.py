"""`bacalhau fetch`: a DAG, or the part of one that a path leads to, into the store, and from there to files."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bacalhau.cli.options import from_option, json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, DAG_PB, RAW, cid_text, codec_of
from storage.errors import UserError


@click.command("fetch", short_help="Bring a CID and all below it here, checked.")
@click.argument("content", metavar="CID[/path]")
@click.option("-o", "--output", type=named_path, metavar="PATH", help="Also write it there, as a file or directory.")
@from_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, content: str, output: Path | None, places: tuple[str, ...], as_json: bool) -> int:
    """Ask for the blocks of a CID that are not here. Each is checked as it comes, and kept if the rest does not come.

    With a path, only what it leads to is fetched, and the blocks on the way: RECORD/output/result is a record's result.
    What was fetched is pinned, as what is added is. What is here already is not asked for; without --from nothing is.
    Whoever sends wrong bytes is named.
    """
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.targets import split_content
    from bacalhau.terminal_text import one_line
    from storage.content_fetch import ContentFetcher
    from storage.endpoints import KINDS, Sources, read_endpoint
    from storage.sqlite_pins import Pin, pin

    root, below = split_content(content)
    endpoints = [read_endpoint(place, KINDS, "--from") for place in places]
    target = output.absolute() if output else None
    if target is not None:
        from storage.unixfs_export import check_target

        check_target(target)
        if not below:
            _check_is_content(root)
    services = services_of(ctx)
    with services.open_store() as store, shown_progress() as display, Sources(endpoints) as sources:
        sources()  # a place that cannot be opened is told, also when nobody need be asked
        fetcher = ContentFetcher(store=store, sources=sources, cache_dir=services.home.cache_dir, progress=display.step)
        found = fetcher.find(root, below)
        cid = found.cid
        if target is not None:
            _check_is_content(cid)
        fetched = fetcher.fetch(cid)
        pin(store, Pin(name=cid_text(cid), cid=cid, profile=None, created_at=time.time()))
        if target is not None:
            from storage.unixfs_export import export
            from storage.unixfs_read import UnixfsReader

            export(UnixfsReader(store), cid, target)
    for fault in dict.fromkeys(map(str, (*found.faults, *fetched.faults))):
        stderr_console().print(one_line(f"given up: {fault}"))
    if as_json:
        path = str(target) if target else None
        moved = {"blocks": found.blocks + fetched.blocks, "bytes": found.size + fetched.size}
        print_json({"cid": cid_text(cid), "path": path, **moved})
    else:
        print_text(str(output) if output else cid_text(cid))
    return ExitCode.DONE


def _check_is_content(cid: CID) -> None:
    """Refuse before anything is fetched what could not be written afterwards."""
    if codec_of(cid) not in (RAW, DAG_PB):
        fix = "name a link in it, such as RECORD/output, or leave -o out"
        raise UserError("is data, not a file or directory", where=cid_text(cid), fix=fix)
