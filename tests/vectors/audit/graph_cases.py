"""The cases of published graphs: what each file is, and the check that must say so."""

from __future__ import annotations

from collections.abc import Mapping

from storage.cid import CID
from tests.vectors.audit.graph_shelf import (
    BOB,
    NOWHERE,
    Shelf,
    annotated,
    by_bob,
    changed,
    child_of,
    dispute,
    filed,
    first_only,
    forged,
    forged_parent,
    graph,
    lacking,
    last_record,
    leaning,
    merged,
    numbered,
    of_records,
    other_first,
    other_last,
    renumbered,
    rival,
    swapped,
    tainted,
    task_beside,
    unprefixed,
    upper_case,
    wheel_of,
)
from tests.vectors.audit.shapes import Case
from tests.vectors.records.world import World, identity
from verifier.graph_tree import leaf_hash, tree_hash

GRAPH_CASES: Mapping[str, Case] = {
    "graph": graph("three records, each published before its child", None),
    "graph-deep": Case(about="a graph has all ancestors of its records", check=None, data=filed(Shelf), deep=True),
    "graph-others": graph(
        "the log has records that the graph is not about, which are nowhere here",
        None,
        log=lambda records: [NOWHERE, *records],
    ),
    "graph-asked-record": Case(
        about="the file of a graph is asked to prove a record of it",
        check=None,
        data=filed(Shelf),
        cid=child_of(Shelf),
    ),
    "graph-dissent": Case(
        about="a record in which one node dissents",
        check=None,
        data=filed(of_records(lambda store: [World(store=store, liars=1).build()])),
    ),
    "graph-goes-on": Case(
        about="two graphs of one publisher: the second log goes on from the first",
        check=None,
        data=filed(first_only, Shelf),
    ),
    "graph-two-publishers": Case(about="two publishers, each with a log", check=None, data=filed(Shelf, by_bob)),
    "graph-root-key_fail": graph("the root has a key too many", 21, root=changed(note="x")),
    "graph-deep-root_fail": Case(
        about="where the root cannot be read, what it comes from is unknown",
        check=21,
        data=filed(lambda: Shelf(root=changed(note="x"))),
        deep=True,
    ),
    "graph-root-empty_fail": graph("a root without records", 21, root=changed(records=[])),
    "graph-root-unsorted_fail": graph(
        "the root's records are not sorted", 21, root=lambda node: node["records"].reverse()
    ),
    "graph-head-kind_fail": graph(
        "the root's head is a record", 21, root=lambda node: node.update(head=node["records"][0])
    ),
    "graph-head-hash_fail": graph(
        "the head is named by a digest of no bytes", 21, root=changed(head=CID(bytes.fromhex("01711200")))
    ),
    "graph-head-size_fail": graph("a log of no entries", 21, head=changed(size=0)),
    "graph-head-forged_fail": graph("the head's tree changed after signing", 22, signed=changed(tree="00" * 32)),
    "graph-head-signer_fail": graph("the head is signed by somebody else", 22, signer=BOB),
    "graph-chain-short_fail": graph("the head counts an entry more than there are", 23, head=changed(size=4)),
    "graph-chain-long_fail": graph("the head counts an entry less than there are", 23, head=changed(size=2)),
    "graph-chain-publisher_fail": graph(
        "an entry is of another publisher", 23, entry=numbered(1, publisher=identity(BOB).peer)
    ),
    "graph-chain-head-publisher_fail": graph(
        "the head's publisher signed for a log that is another's",
        23,
        head=changed(publisher=identity(BOB).peer),
        signer=BOB,
    ),
    "graph-chain-gap_fail": graph("an entry was taken out: a number is missing", 23, entry=renumbered),
    "graph-chain-reordered_fail": graph("two entries changed places", 23, entry=swapped),
    "graph-chain-first_fail": graph(
        "the first entry is linked to one before it", 23, entry=numbered(0, previous=NOWHERE)
    ),
    "graph-chain-cut_fail": graph("the second entry is linked to none", 23, entry=numbered(1, previous=None)),
    "graph-chain-text_fail": graph("an entry's CID is in another form than the usual", 23, entry=upper_case),
    "graph-chain-link_fail": graph("an entry's record is a link", 23, entry=numbered(1, record=NOWHERE)),
    "graph-chain-time_fail": graph("an entry of before 1970", 23, entry=numbered(1, at=-1)),
    "graph-tree-other_fail": graph("the signed tree is of something else", 24, head=changed(tree="00" * 32)),
    "graph-tree-order_fail": graph(
        "the tree is over the entries from the end", 24, tree=lambda leaves: tree_hash([*map(leaf_hash, leaves[::-1])])
    ),
    "graph-tree-prefix_fail": graph("leaves are hashed without the zero byte", 24, tree=unprefixed),
    "graph-tree-shape_fail": graph("the tree leans to the other side", 24, tree=leaning),
    "graph-unlisted_fail": graph("a record of the root is not in the log", 25, log=lambda records: records[:2]),
    "graph-twice_fail": graph("a record is in the log twice", 25, log=lambda records: [*records, records[0]]),
    "graph-others-twice_fail": graph(
        "what is in the log twice need not be in the graph", 25, log=lambda records: [NOWHERE, *records, NOWHERE]
    ),
    "graph-parent-left-out_fail": graph("the parents are not in the graph", 26, listed=last_record),
    "graph-parent-later_fail": graph("a record was published before its parent", 26, log=lambda records: records[::-1]),
    "graph-parent-left-out-no-log_fail": Case(
        about="the parents are not in the graph, and an entry is not here",
        check=26,
        first=23,
        data=filed(lambda: Shelf(listed=last_record), without=lambda shelf: shelf.entries[0]),
    ),
    "graph-record-forged_fail": Case(
        about="a record of the graph has a forged receipt",
        check=27,
        data=filed(lambda: Shelf(**forged_parent())),
    ),
    "graph-record-kind_fail": Case(
        about="one of the records is a task", check=27, first=26, data=filed(of_records(task_beside))
    ),
    "graph-dispute_fail": Case(
        about="two records of one task have different outputs", check=28, data=filed(of_records(dispute))
    ),
    "graph-equivocation_fail": Case(
        about="two heads of one publisher and size that differ", check=30, data=filed(Shelf, other_last)
    ),
    "graph-fork_fail": Case(
        about="two logs of one publisher of which neither goes on from the other",
        check=30,
        data=filed(Shelf, other_first),
    ),
    "graph-equivocation-no-log_fail": Case(
        about="two heads of one size that differ are proof, even where an entry is not here",
        check=30,
        first=23,
        data=filed(Shelf, other_last, without=lambda shelf: shelf.entries[0]),
    ),
    "graph-rival_missing": Case(
        about="the graph tells of a record that contradicts one of it", check=28, data=annotated(rival())
    ),
    "graph-rival-forged_fail": Case(
        about="a rival has a forged receipt", check=32, first=28, data=annotated(rival(**{"stored receipt/0": forged}))
    ),
    "graph-rival-agrees_fail": Case(
        about="a rival is of another task",
        check=32,
        first=28,
        data=annotated(rival(input=lambda node: node.update(epoch=1))),
    ),
    "graph-rival-listed_fail": Case(
        about="a rival is a record of the graph",
        check=32,
        first=28,
        data=annotated(lambda store: (records := dispute(store)[:1], [], records)),
    ),
    "graph-merge-stranger_fail": Case(
        about="a merge is of a record that is not in the graph",
        check=31,
        data=annotated(merged(lambda _, other: [[(0, other)]])),
    ),
    "graph-merge-order_fail": Case(
        about="the shards of a merge do not ascend",
        check=31,
        data=annotated(merged(lambda first, _: [[(1, first), (0, first)]])),
    ),
    "graph-merge-part_fail": Case(
        about="a part of a merge that is not the last is not full",
        check=31,
        data=annotated(merged(lambda first, _: [[(0, first)], [(1, first)]])),
    ),
    "graph-merge-empty_fail": Case(
        about="a merge of no shards", check=31, data=annotated(merged(lambda _first, _other: []))
    ),
    "graph-2-key_fail": graph("a graph/2 without its rivals", 21, root=changed(v="graph/2", merges=[])),
    "graph-without-root_missing": lacking("the root is not here", 1, lambda shelf: shelf.build()),
    "graph-without-head_missing": lacking("the head is not here", 21, lambda shelf: shelf.head_cid),
    "graph-without-entry_missing": lacking("an entry is not here", 23, lambda shelf: shelf.entries[1]),
    "graph-without-record_missing": lacking("a record is not here", 26, lambda shelf: shelf.records[1]),
    "graph-without-wheel_missing": lacking("a wheel is not here", 27, wheel_of),
    "graph-unverified_missing": Case(
        about="a record of the tier unverified", check=29, data=filed(of_records(tainted))
    ),
    "graph-pair-no-log_missing": Case(
        about="two graphs, and an entry of the first log is not here",
        check=30,
        first=23,
        data=filed(first_only, by_bob, without=lambda shelf: shelf.entries[0]),
    ),
}
