"""What the questions to the graph share: how much of it is shown."""

from __future__ import annotations

import click

from storage.errors import UserError

limit_option = click.option(
    "--limit", type=int, default=200, show_default=True, help="Most records that are shown; 1 to 10000."
)


def check_limit(limit: int) -> int:
    """Return the limit.

    Raises:
        UserError: out of range.
    """
    from bacalhau.graph_view import MAX_LIMIT

    if not 1 <= limit <= MAX_LIMIT:
        raise UserError("is out of range", where=f"--limit {limit}", fix=f"give 1 to {MAX_LIMIT}")
    return limit
