from pathlib import Path

import pytest

from bacalhau.devstack_plan import MAX_NODES, environment_of, plan_stack, serve_arguments, share_of
from runtime.capacity import Room
from storage.errors import UserError

PLACE = Path("/stack")


def names(plan):
    return [(node.name, node.roles, node.bad_actor) for node in plan.nodes]


def test_a_requester_stands_beside_the_nodes_that_execute_and_the_last_of_them_are_bad():
    plan = plan_stack(PLACE, nodes=3, bad_actors=["liar", "copycat"])
    assert names(plan) == [
        ("requester", ("requester",), None),
        ("node-1", ("compute",), None),
        ("node-2", ("compute",), "liar"),
        ("node-3", ("compute",), "copycat"),
    ]
    assert plan.compute_nodes == 3
    assert [node.directory for node in plan.nodes] == [PLACE / node.name for node in plan.nodes]


def test_in_a_hybrid_stack_every_node_is_both_and_the_first_is_honest():
    plan = plan_stack(PLACE, nodes=2, bad_actors=["mute"], hybrid=True)
    both = ("compute", "requester")
    assert names(plan) == [("node-1", both, None), ("node-2", both, "mute")]
    assert plan.compute_nodes == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nodes": 0}, "--nodes: 0 is not 1 to 50"),
        ({"nodes": MAX_NODES + 1}, "--nodes: 51 is not 1 to 50"),
        ({"nodes": 2, "bad_actors": ["liar", "thief"]}, "--bad-actors: 'thief' is no bad actor; there are liar"),
        ({"nodes": 1, "bad_actors": ["liar", "liar"]}, "--bad-actors: 2 are more than the 1 node"),
        ({"nodes": 1, "bad_actors": ["liar"], "hybrid": True}, "--bad-actors: 1 are more than the 0 nodes"),
    ],
)
def test_a_stack_that_cannot_be_is_refused(options, said):
    with pytest.raises(UserError) as caught:
        plan_stack(PLACE, **options)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("machine", "nodes", "share"),
    [
        ((8000, 16 << 30, 80 << 30), 4, (2000, 4 << 30, 20 << 30)),
        ((2500, 16 << 30, 10 << 30), 5, (1000, (16 << 30) // 5, 2 << 30)),
        ((1000, 1 << 30, 1 << 30), 5, (1000, 3 << 29, 1 << 30)),
    ],
)
def test_nodes_share_the_machine_and_each_can_run_something(machine, nodes, share):
    cpu_milli, memory_bytes, disk_bytes = machine
    room = Room(cpu_milli=cpu_milli, memory_bytes=memory_bytes, disk_bytes=disk_bytes, gpus=2)
    found = share_of(room, nodes)
    assert (found.cpu_milli, found.memory_bytes, found.disk_bytes, found.gpus) == (*share, 0)


def test_a_node_is_started_with_its_role_its_share_its_peers_and_its_persona():
    requester, node = plan_stack(PLACE, nodes=1, bad_actors=["late"]).nodes
    share = Room(cpu_milli=2000, memory_bytes=3 << 30, disk_bytes=4 << 30)
    assert serve_arguments(requester, share) == ["serve", "--json", "--until-eof", "--role", "requester"]
    assert serve_arguments(node, share, peers=["/ip4/127.0.0.1/tcp/1/p2p/x"]) == [
        "serve", "--json", "--until-eof", "--role", "compute", "--peer", "/ip4/127.0.0.1/tcp/1/p2p/x",
        "--limit-total-cpu", "2", "--limit-total-memory", str(3 << 30), "--limit-total-disk", str(4 << 30),
        "--limit-total-gpu", "0", "--bad-actor", "late",
    ]  # fmt: skip


def test_a_node_has_a_home_of_its_own_and_only_bad_actors_know_the_back_room():
    plan = plan_stack(PLACE, nodes=2, bad_actors=["liar"])
    outside = {
        "PATH": "/bin", "BACALHAU_DIR": "/home", "BACALHAU_API": "http://x", "BACALHAU_API_TOKEN": "00",
        "BACALHAU_BACK_ROOM": "/elsewhere",
    }  # fmt: skip
    _, honest, liar = plan.nodes
    assert environment_of(honest, plan, outside) == {"PATH": "/bin", "BACALHAU_DIR": "/stack/node-1"}
    assert environment_of(liar, plan, outside) == {
        "PATH": "/bin",
        "BACALHAU_DIR": "/stack/node-2",
        "BACALHAU_BACK_ROOM": "/stack/back-room",
    }
