"""`bacalhau graph merge`: somebody's published graph, checked and taken in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bacalhau.merging import Merged


@click.command("merge", short_help="Check somebody's published graph and take it in.")
@click.argument("place", metavar="CAR|FOLDER|CID", type=named_text)
@json_option
@click.pass_context
def command(ctx: click.Context, /, place: str, as_json: bool) -> int:
    """Check a graph that `publish` made, every block and signature, and make it part of the one here.

    What contradicts a record here becomes a dispute that `graph show`, `graph why` and `audit` tell. Exit code 1 if
    something is wrong with it, or its publisher has signed two logs that contradict each other.
    """
    from bacalhau.graph_sources import open_graph
    from bacalhau.merging import merge_root, open_published, refuse_without_roots
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json

    services = services_of(ctx)
    with (
        shown_progress() as display,
        open_graph(services, display) as graph,
        services.open_published() as logs,
        open_published(place, graph.store) as (blocks, roots),
    ):
        refuse_without_roots(roots, place)
        merged = [
            merge_root(root, blocks, store=graph.store, lineage=graph.lineage, logs=logs, count=display.count)
            for root in roots
        ]
    if as_json:
        print_json({"merged": [one.to_json() for one in merged]})
    else:
        _show(merged)
    return ExitCode.NOT_VERIFIED if any(one.equivocation for one in merged) else ExitCode.DONE


def _show(merged: Sequence[Merged]) -> None:
    from bacalhau.render import print_text, stderr_console
    from storage.cid import cid_text
    from storage.counting import counted

    console = stderr_console()
    for one in merged:
        print_text(cid_text(one.root))
        console.print(f"  {counted(one.records, 'record')} of {one.publisher}, {one.new} of them new here")
        if one.partly_checked:
            console.print(f"  of {one.partly_checked} not all content is there: their evidence alone was checked")
        if one.tainted:
            console.print(f"  {one.tainted} {'is' if one.tainted == 1 else 'are'} of the unverified tier")
        for dispute in one.disputes:
            said = f"{cid_text(dispute.merged)} contradicts {cid_text(dispute.here)}"
            console.print(f"  disputed: {said}: the same task, another output")
        if one.equivocation is not None:
            sizes = f"{one.equivocation.first.size} and {one.equivocation.second.size}"
            console.print(f"  EQUIVOCATION: {one.publisher} has signed two logs, of {sizes} entries, that")
            console.print(f"  differ from entry {one.equivocation.number} on; --json prints the proof")
