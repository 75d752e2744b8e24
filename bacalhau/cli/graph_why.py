"""`bacalhau graph why`: how something came to be."""

from __future__ import annotations

import click

from bacalhau.cli.graph_options import check_limit, limit_option
from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode


@click.command("why", short_help="Tell how something came to be, down to the raw inputs.")
@click.argument("target", metavar="CID[/PATH]|JOB", type=named_text)
@limit_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, limit: int, as_json: bool) -> int:
    """Tell how an output, something in one, a record or a job came to be: by which function, of which inputs, and so on
    down to the inputs that no record here made, with the URLs that they were fetched from as far as jobs here noted
    them.

    Exit code 0, also of content that no record here made: then it says so.
    """
    from bacalhau.graph_answers import explained_answer
    from bacalhau.graph_render import print_answer
    from bacalhau.graph_sources import find_named, open_graph
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json

    check_limit(limit)
    with shown_progress() as display, open_graph(services_of(ctx), display) as graph:
        answer = explained_answer(find_named(target, graph, limit=limit), graph, limit=limit)
    print_json(answer.to_json()) if as_json else print_answer(answer)
    return ExitCode.DONE
