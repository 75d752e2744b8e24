"""The flags of `serve` that say what a compute node takes, how much it has and how it is labelled.

`selection_options` adds them to a command, `read_selection` turns them into values; those of the room are in
`room_options`. Nothing here needs the network to be installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bacalhau.cli.options import named_text
from bacalhau.cli.room_options import room_flags, room_options
from storage.errors import UserError

if TYPE_CHECKING:
    from bacalhau.cluster import ClusterOptions
    from network.node.selection_policy import SelectionPolicy
    from runtime.machine_room import MachineRoom

LABEL: Final = "--label"
PROBE_EXEC: Final = "--job-selection-probe-exec"
PROBE_HTTP: Final = "--job-selection-probe-http"
ALLOW: Final = "--allow-requester"
WORKERS: Final = "--workers"
CONTACT: Final = "--workers-contact"
DENY: Final = "--deny-requester"

_OPTIONS: Final = (
    click.option(WORKERS, metavar="ADDRESS", type=named_text,
                 help="Execute on the workers of the Dask cluster whose scheduler is there: tcp://HOST:8786."),
    click.option(CONTACT, metavar="HOST:PORT", type=named_text,
                 help="Where these workers connect to this node.  [default: on the way to the scheduler, any port]"),
    click.option(LABEL, "labels", metavar="K=V", multiple=True, help="Label the node; jobs select nodes by labels."),
    click.option("--job-selection-data-locality", type=click.Choice(["anywhere", "local"]), default="anywhere",
                 show_default=True, help="local: take only jobs whose data is in this node's store."),
    click.option("--job-selection-reject-stateless", is_flag=True, help="Take no jobs without data."),
    click.option(PROBE_EXEC, metavar="COMMAND", type=named_text,
                 help="Ask a command: the job on stdin, exit code 0 takes it."),
    click.option(PROBE_HTTP, metavar="URL", type=named_text, help="Ask a URL: the job in a POST, a 2xx takes it."),
    click.option(ALLOW, "allowed_requesters", metavar="PEER", multiple=True,
                 help="Take jobs of this requester, and of no others but those named so."),
    click.option(DENY, "denied_requesters", metavar="PEER", multiple=True, help="Take no jobs of this requester."),
)  # fmt: skip


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command that takes `**flags`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return room_options(command)


def read_selection(flags: Mapping[str, Any], blocks: Path) -> tuple[SelectionPolicy, MachineRoom, dict[str, str]]:
    """Return what the flags say: which jobs are taken, what jobs get of the machine, and the node's labels.

    flags: of a command with `selection_options`; blocks: the file in which the node keeps them. What is left unsaid is
    read from this machine; of a cluster it has no bound but what the workers have.

    Raises:
        UserError: one cannot be read, or names a command that is not there.
        UnavailableError: the free disk is wanted and cannot be looked at.
    """
    from network.node.node_labels import parse_labels
    from runtime.machine_room import cluster_limit, machine_room

    said = room_flags(flags)
    room = machine_room(blocks, said) if flags["workers"] is None else cluster_limit(blocks, said)
    return _read_policy(flags), room, parse_labels(flags["labels"], where=LABEL)


def read_cluster(flags: Mapping[str, Any]) -> ClusterOptions | None:
    """Return the cluster of a node, None if there is none.

    Raises:
        UserError: a flag is missing, or cannot be read.
    """
    scheduler, contact = flags["workers"], flags["workers_contact"]
    if scheduler is None:
        if contact is not None:
            raise UserError("is of use with --workers alone", where=CONTACT, fix="leave it out")
        return None
    if flags["roles"] and "compute" not in flags["roles"]:
        fix = "leave --role out, or say --role compute too"
        raise UserError("are for a node that executes", where=WORKERS, fix=fix)
    from bacalhau.cli.cluster_extra import require_cluster
    from bacalhau.cluster import ClusterOptions

    require_cluster(WORKERS)
    host, port = ("", 0) if contact is None else read_host_and_port(contact, CONTACT)
    return ClusterOptions(scheduler=scheduler, contact_host=host, contact_port=port)


def read_host_and_port(text: str, flag: str) -> tuple[str, int]:
    """Read HOST:PORT; an IPv6 address stands in brackets.

    Raises:
        UserError: it is none.
    """
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UserError("is not HOST:PORT", where=f"{flag} {text}", fix="write it like 127.0.0.1:1234")
    return host, int(port)


def _read_policy(flags: Mapping[str, Any]) -> SelectionPolicy:
    from network.node.selection_policy import DataLocality, SelectionPolicy, parse_peers, parse_probe_url

    url = flags["job_selection_probe_http"]
    return SelectionPolicy(
        data_locality=DataLocality(flags["job_selection_data_locality"]),
        accepts_stateless=not flags["job_selection_reject_stateless"],
        probe_exec=_read_command(flags["job_selection_probe_exec"]),
        probe_http=None if url is None else parse_probe_url(url, where=PROBE_HTTP),
        allowed_requesters=parse_peers(flags["allowed_requesters"], where=ALLOW),
        denied_requesters=parse_peers(flags["denied_requesters"], where=DENY),
    )


def _read_command(text: str | None) -> tuple[str, ...] | None:
    """Return a command that can be started now; one that is not there would refuse every job, without a word here."""
    from network.node.selection_policy import parse_command

    if text is None:
        return None
    command = parse_command(text, where=PROBE_EXEC)
    if shutil.which(command[0]) is None:
        fix = "give the path of a program that you may execute"
        raise UserError(f"there is no command {command[0]!r}", where=PROBE_EXEC, fix=fix)
    return command
