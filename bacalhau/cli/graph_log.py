"""`bacalhau graph log`: the log of what was published, verified; and proofs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode
from storage.counting import counted
from storage.errors import UserError

if TYPE_CHECKING:
    from bacalhau.services import Services
    from storage.sqlite_block_store import SqliteBlockStore
    from verifier.graph_log import LogChain


@click.command("log", short_help="Show and verify a log of published records.")
@click.argument("place", metavar="[CAR|FOLDER|CID]", required=False, type=named_text)
@click.option("--prove", metavar="RECORD", type=named_text, help="Print the proof that a record is in the log.")
@click.option("--against", metavar="CAR|FOLDER|CID", type=named_text,
              help="Check that one of two logs of a publisher goes on from the other.")  # fmt: skip
@json_option
@click.pass_context
def command(ctx: click.Context, /, place: str | None, prove: str | None, against: str | None, as_json: bool) -> int:
    """Show a log, by default one's own, and verify it: signature, chain and Merkle tree.

    Exit code 1 if it is not sound, or with --against if its publisher has signed two that contradict each other.
    """
    from bacalhau.graph_logs import compared_json, inclusion_json, log_json
    from bacalhau.render import print_json

    services = services_of(ctx)
    with services.open_store() as store:
        chain = _read(place, services, store)
        if prove is not None:
            print_json(inclusion_json(chain, prove))
            return ExitCode.DONE
        if against is not None:
            found = compared_json(chain, _read(against, services, store))
            print_json(found) if as_json else _show_comparison(found)
            return ExitCode.DONE if found["consistent"] else ExitCode.NOT_VERIFIED
    shown = log_json(chain)
    print_json(shown) if as_json else _show(shown)
    return ExitCode.DONE


def _read(place: str | None, services: Services, store: SqliteBlockStore) -> LogChain:
    from bacalhau.merging import open_published, read_log, refuse_without_roots
    from bacalhau.publishing import publisher_of

    if place is not None:
        with open_published(place, store) as (blocks, roots):
            refuse_without_roots(roots, place)
            return read_log(roots[-1], blocks)
    with services.open_published() as logs:
        newest = logs.newest(publisher_of(services).peer, store)
    if newest is None:
        raise UserError("nothing was published here", where="graph log", fix="`bacalhau publish` begins a log")
    return read_log(newest[0].head, store)


def _show(shown: dict[str, Any]) -> None:
    from bacalhau.render import print_text, stderr_console

    for entry in shown["entries"]:
        print_text(f"{entry['number']:>6}  {entry['at']}  {entry['record']}")
    console = stderr_console()
    entries = counted(shown["size"], "entry", "entries")
    console.print(f"{entries} of {shown['publisher']}: signature, chain and tree are sound")
    console.print(f"  tree {shown['tree']}")


def _show_comparison(found: dict[str, Any]) -> None:
    from bacalhau.render import print_text, stderr_console

    if found["consistent"]:
        before, entries = found["sizes"][0], counted(found["sizes"][1], "entry", "entries")
        print_text(f"consistent: the log of {entries} goes on from the one of {before}")
        return
    print_text("EQUIVOCATION: one publisher has signed two logs, and neither goes on from the other")
    stderr_console().print(f"  they differ from entry {found['equivocation']['number']} on; --json prints the proof")
