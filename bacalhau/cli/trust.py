"""`bacalhau trust`: what is known of nodes here, and counting the records of a graph that came from elsewhere."""

from __future__ import annotations

from typing import Any

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode
from storage.counting import counted
from storage.errors import UserError
from verifier.credibility import BAD_SHARE


@click.command("trust", short_help="Show what is known of nodes by their records.")
@click.option("--count", "recounted", metavar="RECORD", multiple=True,
              help="Count this record, whoever made it, and all before it; no node may run here.")  # fmt: skip
@click.option("--forgive", "forgiven", metavar="NODE", multiple=True,
              help="Let a node that dissented begin again as a newcomer; no node may run here.")  # fmt: skip
@click.option("--bad-nodes", type=float, default=BAD_SHARE, show_default=True,
              help="Share of the nodes that is assumed to be bad.")  # fmt: skip
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, recounted: tuple[str, ...], forgiven: tuple[str, ...], bad_nodes: float, as_json: bool
) -> int:
    """Show of each node how many tasks it gave the agreed output of, how often another, and what that makes.

    Records that were made here count by themselves. To count others' is to believe whoever chose their nodes.
    """
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.trust_report import probability
    from network.node.trust_book import TrustBook
    from verifier.credibility import TrustGoal, credibility_of_node

    TrustGoal(asked=0.5, bad=bad_nodes)  # refuses a share that is none
    services = services_of(ctx)
    said: dict[str, Any] = {"records": 0, "unsound": 0}
    if forgiven:
        _forgive(ctx, forgiven)
    if recounted:
        said = _count(ctx, recounted)
    with services.open_datastore() as datastore:
        from network.node.datastore import Machine

        book = TrustBook()
        book.load(datastore.entries(Machine.TRUST))
    known = sorted(book.histories().items(), key=lambda one: (-one[1].passes, one[0]))
    credible = {peer: credibility_of_node(history, bad=bad_nodes) for peer, history in known}
    if as_json:
        nodes = [
            {"node": peer, "passes": one.passes, "dissents": one.dissents, "credibility": credible[peer]}
            for peer, one in known
        ]
        print_json({**said, "bad_nodes": bad_nodes, "nodes": nodes})
        return ExitCode.DONE
    if recounted:
        print_text(f"counted {counted(said['records'], 'record')}; {said['unsound']} are not sound, or not all here")
    if not known:
        stderr_console().print(
            "nothing is known of any node yet: jobs that ran on this machine's own nodes do not count"
        )
    for peer, one in known:
        said_of = f"{counted(one.passes, 'pass', 'passes')}, {counted(one.dissents, 'dissent')}"
        print_text(f"{peer}  {said_of}, credibility {probability(credible[peer])}")
    return ExitCode.DONE


def _forgive(ctx: click.Context, nodes: tuple[str, ...]) -> None:
    from network.node.datastore import Machine
    from network.node.node_lock import hold_directory
    from network.node.trust_book import TrustBook
    from verifier.model import PeerId

    services = services_of(ctx)
    services.home.create()
    with hold_directory(services.home.root), services.open_datastore() as datastore:
        book = TrustBook()
        book.load(datastore.entries(Machine.TRUST))
        for node in nodes:
            if node not in book.barred():
                raise UserError(
                    "is not known to have dissented", where=f"--forgive {node[:80]}", fix="see `bacalhau trust`"
                )
        datastore.commit([change for node in nodes for change in book.forgive(PeerId(node))])


def _count(ctx: click.Context, texts: tuple[str, ...]) -> dict[str, Any]:
    from network.node.node_lock import hold_directory
    from network.node.trust_count import count_records, graph_of
    from storage.cid import parse_cid

    services = services_of(ctx)
    services.home.create()
    with (
        hold_directory(services.home.root),
        services.open_store() as store,
        services.open_datastore() as datastore,
    ):
        roots = [parse_cid(text) for text in texts]
        records = dict.fromkeys(cid for root in roots for cid in graph_of(root, store))
        found = count_records(records, datastore, store)
    if not found.records:
        raise UserError("none of it is a sound record that is all here", where=", ".join(texts)[:200], fix="fetch it")
    return {"records": found.records, "unsound": found.unsound}
