"""`bacalhau get`: an output as files, with the proof beside it."""

from __future__ import annotations

from pathlib import Path

import click

from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import cid_text
from storage.errors import VerificationError


@click.command("get", short_help="Lay out an output as files, with its proof.")
@click.argument("target", metavar="JOB|RECORD|OUTPUT")
@click.option("--output-dir", type=named_path, help="Where to.  [default: ./job-<8 characters>]")
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, output_dir: Path | None, as_json: bool) -> int:
    """Write stdout, stderr, exit_code, result, outputs/ and record.car to a new directory.

    record.car holds everything that the audit needs: `bacalhau audit --car record.car` works anywhere, offline.
    """
    from bacalhau.layout import PROOF_NAME, default_target, lay_out
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.targets import find_target

    services = services_of(ctx)
    with services.open_store() as store, services.open_jobs() as jobs:
        found = find_target(target, jobs)
        output = found.find_output(store)
        if output is None:
            verdict = found.job.verdict if found.job else "no verdict"
            raise VerificationError(f"was not verified ({verdict}), so it has no output", where=target)
        found.check_record(store)
        place = output_dir.absolute() if output_dir else default_target(found.job.id if found.job else target[-8:])
        lay_out(store, output, found.record, place)
    if found.record is None:
        stderr_console().print(f"no record here names this output, so there is no {PROOF_NAME}")
    if as_json:
        record = cid_text(found.record) if found.record else None
        print_json({"path": str(place), "output": cid_text(output), "record": record})
    else:
        print_text(str(place))
    return ExitCode.DONE
