"""`bacalhau publish`: results with their proof, or any DAG, out of the store into a file, a folder or a Kubo daemon."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import UnavailableError, UserError

if TYPE_CHECKING:
    from bacalhau.publishing import Published
    from storage.endpoints import Endpoint
    from storage.sqlite_block_store import SqliteBlockStore


_SHOWN = 20
"""Disputes that are told a person."""


@click.command("publish", short_help="Give results with their proof, or any content, to the world.")
@click.argument("content", metavar="CID|JOB", type=named_text)
@click.option("--to", metavar="car:FILE|kubo:URL|dir:PATH", default="kubo:",
              help="Where to.  [default: the Kubo daemon here]")  # fmt: skip
@click.option("--wheels/--no-wheels", default=True, show_default=True,
              help="Publish the wheels of records too, or their hashes alone.")  # fmt: skip
@click.option("--plain", is_flag=True, help="Publish the content alone, also of an output that a record names.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, content: str, to: str, wheels: bool, plain: bool, as_json: bool) -> int:
    """Write a CID and all blocks below it to a CAR or a folder, or give them to a Kubo daemon, which pins them.

    A job, a record, or an output that a record here names becomes a graph root: the records with all that they rest on
    and everything that an auditor needs, entered in a signed log. The CID of that root is printed.

    A record here that contradicts one of them, of the same task with another output, goes along and is told.

    A daemon that is online tells its network: publish what anybody may read.
    """
    from bacalhau.progress import shown_progress
    from bacalhau.publishing import prepare
    from bacalhau.render import print_json, print_text, stderr_console
    from storage.endpoints import read_endpoint

    endpoint = read_endpoint(to, ("car", "kubo", "dir"), "--to")
    if endpoint.kind == "kubo" and not wheels:
        raise UserError("keeps whole DAGs alone", where="--to kubo:", fix="leave --no-wheels out, or publish to a CAR")
    services = services_of(ctx)
    with services.open_store() as store, shown_progress() as display:
        # Looked at before anything is signed: what cannot be written anyway needs no entry in the log.
        _refuse_taken(endpoint)
        published = prepare(content, services, store, plain=plain)
        with services.open_results() as results:
            results.published(published.root)  # before it is: whoever has a record knows the answer
        blocks = Counted(_blocks(published, store, endpoint.kind, wheels=wheels))
        place = _give(endpoint, published.root, blocks, display.step)
    said = {
        "cid": cid_text(published.root),
        "to": f"{endpoint.kind}:{place}",
        "blocks": blocks.number,
        "bytes": blocks.size,
        **(published.to_json() if published.is_graph else {}),
    }
    print_json(said) if as_json else print_text(cid_text(published.root))
    if published.is_graph and not as_json:
        _tell_what_is_next(published, endpoint)
    for record, rival in published.disputes[: 0 if as_json else _SHOWN]:
        line = f"DISPUTED: {cid_text(record)} is contradicted by {cid_text(rival)}, which goes along:"
        stderr_console().print(f"{line} the same task, another output")
    return ExitCode.DONE


def _tell_what_is_next(published: Published, endpoint: Endpoint) -> None:
    from bacalhau.render import stderr_console
    from bacalhau.terminal_text import one_line

    console = stderr_console()
    if published.publisher is not None:
        entries = counted(published.added, "new entry", "new entries")
        console.print(f"log of {published.publisher}: {entries}, {published.log_size} in all")
    if endpoint.kind == "car":
        console.print(f"next: bacalhau-audit {one_line(shlex.quote(endpoint.place))}")


def _blocks(published: Published, store: SqliteBlockStore, kind: str, *, wheels: bool) -> Iterator[tuple[CID, bytes]]:
    from bacalhau.graph_blocks import published_blocks, whole_dag
    from storage.dag_walk import walk

    if not published.is_graph:
        return walk(store, published.root)
    if kind == "kubo":
        return whole_dag(store, published.root)
    return published_blocks(store, published.root, wheels=wheels)


def _refuse_taken(endpoint: Endpoint) -> None:
    path = Path(endpoint.place).absolute()
    if endpoint.kind == "car":
        from storage.new_file import check_free

        check_free(path)
    elif endpoint.kind == "dir":
        from storage.block_folder import check_folder

        check_folder(path)


def _give(endpoint: Endpoint, root: CID, blocks: Counted, step: Callable[[str], None]) -> str:
    if endpoint.kind == "kubo":
        return _push(endpoint.place, root, blocks, step)
    path = Path(endpoint.place).absolute()
    if endpoint.kind == "car":
        from storage.car_file import write_car_file

        write_car_file(path, root, blocks)
    else:
        from storage.block_folder import write_block_folder

        write_block_folder(path, root, blocks)
    return endpoint.place


class Counted:
    """Counts blocks that pass."""

    def __init__(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        self._blocks = blocks
        self.number = 0
        self.size = 0

    def __iter__(self) -> Iterator[tuple[CID, bytes]]:
        for cid, data in self._blocks:
            self.number += 1
            self.size += len(data)
            yield cid, data


def _push(place: str, cid: CID, blocks: Counted, step: Callable[[str], None]) -> str:
    from contextlib import closing

    from storage.endpoints import open_kubo

    with closing(open_kubo(place)) as daemon:
        try:
            version = daemon.version()
        except UnavailableError as error:
            fix = f"{error.fix} A file needs no daemon: --to car:FILE"
            raise UnavailableError(error.problem, where=error.where, fix=fix) from error
        step(f"publishing to Kubo {version} at {daemon.name}")
        daemon.push(cid, blocks)
        return daemon.name
