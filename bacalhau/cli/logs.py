"""`bacalhau logs`: what the function of a job wrote."""

from __future__ import annotations

from typing import Any

import click

from bacalhau.cli.completion import job_ids
from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode
from bacalhau.services import Services
from storage.errors import UnavailableError, VerificationError


@click.command("logs", short_help="Show what a job's function wrote; -f waits for it.")
@click.argument("target", metavar="JOB|CID", shell_complete=job_ids)
@click.option("-f", "--follow", is_flag=True, help="Wait until the job has ended.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, follow: bool, as_json: bool) -> int:
    """Show the agreed stdout and stderr of a job, the first 64 KiB of each.

    What single nodes write is not shown: only what they agree on is the function's. Of a job over shards every line
    begins with the number of its shard.
    """
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.terminal_text import clean

    if _of_shards(target, services_of(ctx), as_json=as_json):
        return ExitCode.DONE
    said = _logs(target, services_of(ctx), follow=follow)
    if as_json:
        print_json(said)
        return ExitCode.DONE
    if said["stdout"]:
        print_text(clean(said["stdout"]))
    if said["stderr"]:
        stderr_console().print(clean(said["stderr"]).rstrip("\n"))
    for name in said["cut"]:
        stderr_console().print(f"{name} is longer: `bacalhau get {said['job'][:8]}` writes all of it")
    return ExitCode.DONE


def _of_shards(target: str, services: Services, *, as_json: bool) -> bool:
    """Print the logs of a job over shards, or of one shard, that ended here; False: it is none."""
    from bacalhau.job_view import ENDED
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.shard_logs import bounded_logs, prefixed, shard_logs
    from bacalhau.targets import find_shards

    node = node_of(services)
    if node is not None:
        with node:
            if node.is_elsewhere:
                return False
    with services.open_store() as store, services.open_jobs() as jobs:
        found = find_shards(target, jobs)
        if found is None:
            return False
        job, rows = found
        if as_json:
            listed, has_more = bounded_logs(shard_logs(store, rows))
            print_json({"job": job.id, "state": ENDED, "shards": listed, "has_more": has_more})
            return True
        console = stderr_console()
        for one in shard_logs(store, rows):
            if one["stdout"]:
                print_text(prefixed(one["index"], one["stdout"]))
            if one["stderr"]:
                console.print(prefixed(one["index"], one["stderr"]))
            for name in one["cut"]:
                console.print(f"{one['index']}: {name} is longer: `bacalhau get {job.id[:8]}` writes all of it")
    return True


def _logs(target: str, services: Services, *, follow: bool) -> dict[str, Any]:
    node = node_of(services)
    if node is None:
        return _of_report(target, services)
    with node:
        job = node.job(target)["job"]
        if not follow:
            return node.logs(job)
        from bacalhau.job_events import event_phrase
        from bacalhau.progress import shown_progress
        from bacalhau.run_on_node import find_present, follow_job

        with shown_progress() as display:
            for event in follow_job(job, node, lambda: node_of(services)):
                display.step(event_phrase(event))
    with find_present(job, lambda: node_of(services)) as present:
        return present.logs(job)


def _of_report(target: str, services: Services) -> dict[str, Any]:
    """Return the logs of a job that ended here.

    Raises:
        VerificationError: it was not verified.
        UnavailableError: it was, but its output is not here.
    """
    from bacalhau.container_jobs import container_logs, is_of_container
    from bacalhau.job_view import ENDED
    from bacalhau.targets import find_job

    with services.open_jobs() as jobs:
        job = find_job(target, jobs)
    if is_of_container(job):
        return container_logs(job)
    if job.output is None:
        raise VerificationError(f"was not verified ({job.verdict}), so it has no output", where=job.id)
    if job.report["stdout"] is None:
        raise UnavailableError(job.report["reason"] or "the agreed output is not here", where=job.id)
    return {"job": job.id, "state": ENDED, **{name: job.report[name] for name in ("stdout", "stderr", "cut")}}
