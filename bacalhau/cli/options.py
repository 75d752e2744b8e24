"""What several commands share: the `--json` flag and the services they work with."""

from __future__ import annotations

import click

from bacalhau.services import Services, default_services

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def services_of(ctx: click.Context) -> Services:
    """Return the services that were handed in, else those of this environment."""
    found = ctx.find_object(Services)
    return found or default_services()
