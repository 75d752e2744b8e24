"""`bacalhau publish`: a DAG out of the store, into a file or a Kubo daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, cid_text, parse_cid


@click.command("publish", short_help="Give a CID and all below it to the IPFS world.")
@click.argument("content", metavar="CID")
@click.option("--to", metavar="car:FILE|kubo:URL", default="kubo:", help="Where to.  [default: the Kubo daemon here]")
@json_option
@click.pass_context
def command(ctx: click.Context, /, content: str, to: str, as_json: bool) -> int:
    """Write all blocks below a CID to a CAR, or give them to a Kubo daemon, which pins them.

    A daemon that is online tells its network: publish what anybody may read.
    """
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text
    from storage.endpoints import read_endpoint

    cid = parse_cid(content)
    endpoint = read_endpoint(to, ("car", "kubo"), "--to")
    with services_of(ctx).open_results() as results:
        results.published(cid)  # before it is: whoever has the record knows the answer
    with services_of(ctx).open_store() as store, shown_progress() as display:
        from storage.dag_walk import walk

        blocks = Counted(walk(store, cid))
        if endpoint.kind == "car":
            from storage.car_file import write_car_file

            write_car_file(Path(endpoint.place).absolute(), cid, blocks)
            place = endpoint.place
        else:
            place = _push(endpoint.place, cid, blocks, display.step)
    said = {"cid": cid_text(cid), "to": f"{endpoint.kind}:{place}", "blocks": blocks.number, "bytes": blocks.size}
    print_json(said) if as_json else print_text(cid_text(cid))
    return ExitCode.DONE


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
        version = daemon.version()
        step(f"publishing to Kubo {version} at {daemon.name}")
        daemon.push(cid, blocks)
        return daemon.name
