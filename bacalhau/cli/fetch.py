"""`bacalhau fetch`: a DAG into the store, from the IPFS world, and from there to files."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, DAG_PB, RAW, cid_text, codec_of, parse_cid
from storage.errors import UserError


@click.command("fetch", short_help="Bring a CID and all below it here, checked.")
@click.argument("content", metavar="CID")
@click.option("-o", "--output", type=named_path, metavar="PATH", help="Also write it there, as a file or directory.")
@click.option("--from", "places", multiple=True, metavar="kubo:URL|gateway:URL|car:FILE",
              help="Whom to ask; several are asked in turn.")  # fmt: skip
@json_option
@click.pass_context
def command(ctx: click.Context, /, content: str, output: Path | None, places: tuple[str, ...], as_json: bool) -> int:
    """Ask for the blocks of a CID that are not here. Each is checked as it comes, and kept if the rest does not come.

    It is pinned, as what is added is. What is here already is not asked for; without --from nothing is. Whoever sends
    wrong bytes is named.
    """
    from bacalhau.endpoints import KINDS, open_sources, read_endpoint
    from bacalhau.fetching import fetch_once
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.terminal_text import one_line
    from storage.sqlite_pins import Pin, pin

    cid = parse_cid(content)
    endpoints = [read_endpoint(place, KINDS, "--from") for place in places]
    target = output.absolute() if output else None
    if target is not None:
        _check_files(cid, target)
    services = services_of(ctx)
    with services.open_store() as store, shown_progress() as display, open_sources(endpoints) as sources:
        fetched = fetch_once(store, cid, sources, services.home, display.step)
        pin(store, Pin(name=cid_text(cid), cid=cid, profile=None, created_at=time.time()))
        if target is not None:
            from storage.unixfs_export import export
            from storage.unixfs_read import UnixfsReader

            export(UnixfsReader(store), cid, target)
    for fault in fetched.faults:
        stderr_console().print(one_line(f"given up: {fault}"))
    if as_json:
        path = str(target) if target else None
        print_json({"cid": cid_text(cid), "path": path, "blocks": fetched.blocks, "bytes": fetched.size})
    else:
        print_text(str(output) if output else cid_text(cid))
    return ExitCode.DONE


def _check_files(cid: CID, target: Path) -> None:
    """Refuse before anything is fetched what could not be written afterwards."""
    from storage.unixfs_export import check_target

    if codec_of(cid) not in (RAW, DAG_PB):
        fix = "leave -o out, and look at it with `bacalhau audit` or `describe`"
        raise UserError("is data, not a file or directory", where=cid_text(cid), fix=fix)
    check_target(target)
