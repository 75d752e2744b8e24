"""`bacalhau graph dependents`: what rests on something."""

from __future__ import annotations

import click

from bacalhau.cli.graph_options import check_limit, limit_option
from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import cid_text


@click.command("dependents", short_help="List the records that rest on something.")
@click.argument("content", metavar="CID", type=named_text)
@limit_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, content: str, limit: int, as_json: bool) -> int:
    """List the records that rest on a record, an output or a file in one, an input, a function, a wheel or a runtime:
    those that use it themselves first, then those that rest on these.
    """
    from bacalhau.graph_sources import open_graph
    from bacalhau.graph_view import dependents_of
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.targets import split_content
    from storage.ipld_path import content_at

    check_limit(limit)
    root, path = split_content(content)
    with shown_progress() as display, open_graph(services_of(ctx), display) as graph:
        cid = content_at(graph.store, root, path) if path.strip("/") else root
        found = dependents_of(cid, graph.lineage, limit=limit)
    if as_json:
        print_json({
            "cid": cid_text(cid),
            "direct": [cid_text(one) for one in found.direct],
            "further": [cid_text(one) for one in found.further],
            "cut": found.is_cut,
        })  # fmt: skip
        return ExitCode.DONE
    for name, records in (("direct", found.direct), ("further", found.further)):
        for record in records:
            print_text(f"{cid_text(record)}  {name}")
    if not found.direct:
        stderr_console().print("no record here rests on it")
    if found.is_cut:
        stderr_console().print(f"there are more than {limit}: --limit shows more of them")
    return ExitCode.DONE
