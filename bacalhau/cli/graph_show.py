"""`bacalhau graph show`: a record and what it rests on."""

from __future__ import annotations

import click

from bacalhau.cli.graph_options import check_limit, limit_option
from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode
from storage.errors import UserError


@click.command("show", short_help="Show a record and what it rests on, as a tree.")
@click.argument("target", metavar="CID|JOB", type=named_text)
@click.option("--depth", type=click.IntRange(0, 1000), default=3, show_default=True, help="How many parents far.")
@limit_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, depth: int, limit: int, as_json: bool) -> int:
    """Show the records of a CID or job as a tree of what they rest on, and what is wrong with any of it.

    A record that rests on one of the unverified tier is tainted; one whose task has another output in another record is
    disputed; both go down to all that rests on them. Exit code 0, whatever is shown.
    """
    from bacalhau.graph_answers import shown_answer
    from bacalhau.graph_render import print_answer
    from bacalhau.graph_sources import find_named, open_graph
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json

    check_limit(limit)
    with shown_progress() as display, open_graph(services_of(ctx), display) as graph:
        named = find_named(target, graph, limit=limit)
        if not named.records:
            fix = "`bacalhau graph why` tells where a content came from"
            raise UserError("is no record, and no record here made it", where=target, fix=fix)
        answer = shown_answer(named, graph, limit=limit, depth=depth)
    print_json(answer.to_json()) if as_json else print_answer(answer)
    return ExitCode.DONE
