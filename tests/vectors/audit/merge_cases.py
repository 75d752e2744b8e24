"""The cases of merged outputs (check 31): true statements over all that shards can have, and each way to lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.cid import DAG_PB, make_cid
from tests.vectors.audit.graph_shelf import forged
from tests.vectors.audit.merge_contents import (
    DIRECTORY,
    MERGED,
    NAMES,
    NESTED,
    TWO,
    an_output,
    as_merged,
    deep,
    directory_kept,
    in_tries,
    last_not_to_be_merged,
    many,
    not_to_be_merged,
    of_other_job,
    of_sizes,
    older_kept,
    other_function,
    other_job,
    outputs_in_tries,
    seen_second,
    sized,
    swapped,
    two_versions,
    unsorted,
    unverified,
    with_other_function,
    with_unverified,
    without_last,
)  # fmt: skip
from tests.vectors.audit.merge_reference import Symlink
from tests.vectors.audit.merge_shelf import NO_OUTPUTS, job
from tests.vectors.audit.shapes import Case


def lied(about: str, tree: Any, **changes: Any) -> Case:
    """Return the case of a statement whose output has another tree than the merge of TWO."""
    return job(about, 31, shards=TWO, expected=as_merged(tree), **changes)


def with_log(text: Any) -> dict[str, Any]:
    return {**MERGED, "day": {**MERGED["day"], "log.txt": text}}


MERGE_CASES: Mapping[str, Case] = {
    "graph-merge": job("two shards: a directory in common, the same file in both, and a conflict", None, shards=TWO),
    "graph-merge-nested": job(
        "directories in directories, conflicts below, of kinds, and empty ones", None, shards=NESTED
    ),
    "graph-merge-empty": job(
        "a shard without outputs, one with none in it, one with some",
        None,
        shards={0: NO_OUTPUTS, 1: {}, 2: {"a": b"a", "d": {}}},
    ),
    "graph-merge-nothing": job(
        "no shard has outputs: the merged ones are empty", None, shards={0: NO_OUTPUTS, 1: NO_OUTPUTS}
    ),
    "graph-merge-single": job("a job of one shard", None, shards={0: {"d": {"a": b"a"}}}),
    "graph-merge-numbers": job(
        "numbers with gaps, whose texts are in another order", None, shards={2: {"a": b"2"}, 10: {"b": b"10"}, 3000: {}}
    ),
    "graph-merge-some": job(
        "two of three shards: a statement does not say that there were no others",
        None,
        shards={**TWO, 2: {"day": {"2.csv": b"2"}}},
        expected=as_merged(MERGED),
        seen=without_last,
        stated=without_last,
    ),
    "graph-merge-functions": job(
        "records of two functions: a statement does not say that they are of one job",
        None,
        shards={0: TWO[0]},
        expected=as_merged(MERGED),
        more=other_function,
        stated=with_other_function,
        seen=seen_second,
    ),
    "graph-merge-links": job(
        "symlinks: one alike, one of two targets, and one where the other shard has a directory",
        None,
        shards={
            0: {"same": Symlink("a"), "other": Symlink("a"), "kind": Symlink("d")},
            1: {"same": Symlink("a"), "other": Symlink("b"), "kind": {"in": b"1"}},
        },
    ),
    "graph-merge-names": job(
        "names of all kinds in a merged directory, sorted by their bytes",
        None,
        shards={0: {"d": dict.fromkeys(NAMES, b"0")}, 1: {"d": {"1": b"1"}}},
    ),
    "graph-merge-sharded": job(
        "the same trie of both stays as it is; two tries are merged, and written as a basic directory",
        None,
        special=in_tries,
        expected=lambda shards: {"same": shards[0]["same"], "own": {"only": b"0", "y": b"1"}},
    ),
    "graph-merge-sharded-root": job(
        "`outputs` itself is written anew, also of one shard",
        None,
        special=outputs_in_tries,
        expected=as_merged({"a": b"a", "b": b"b"}),
    ),
    "graph-merge-sizes": job(
        "of one content the size is what the lowest shard's link claims", None, special=sized, expected=of_sizes(1)
    ),
    "graph-merge-versions": job(
        "CIDs of two versions are two contents: directories are merged, files are a conflict",
        None,
        special=two_versions,
        expected=directory_kept,
    ),
    "graph-merge-unsorted": job(
        "a directory whose links are in no order",
        None,
        special=unsorted,
        expected=as_merged({"d": {"a": b"1", "b": b"1", "c": b"1", "z": b"1"}}),
    ),
    "graph-merge-large": job(
        "one record as 5,400 shards: two parts, and a directory that is written as a trie",
        None,
        shards={0: {"a": b"a"}},
        seen=lambda outputs: dict.fromkeys(range(5400), outputs[0]),
        listed=many,
        is_kept=False,
    ),
    "graph-merge-output_fail": job(
        "the output is that of a shard", 31, shards=TWO, output=lambda store, _: make_cid(DAG_PB, DIRECTORY)
    ),
    "graph-merge-left-out_fail": job("the statement leaves a shard out", 31, shards=TWO, stated=without_last),
    "graph-merge-lost_fail": job(
        "the output leaves a shard out, and the statement does not", 31, shards=TWO, seen=without_last
    ),
    "graph-merge-swapped_fail": job("two shards changed numbers", 31, shards=TWO, seen=swapped),
    "graph-merge-renumbered_fail": job(
        "a shard is stated under another number", 31, shards=TWO, stated=lambda found: {0: found[0], 2: found[1]}
    ),
    "graph-merge-added_fail": job(
        "a shard is stated twice, and the output has it once",
        31,
        shards=TWO,
        stated=lambda found: {**found, 2: found[1]},
    ),
    "graph-merge-hidden-first_fail": lied("a conflict is hidden: the first shard's version", with_log(b"of 0")),
    "graph-merge-hidden-last_fail": lied("a conflict is hidden: the last shard's version", with_log(b"of 1")),
    "graph-merge-hidden-new_fail": lied("a conflict is hidden: by a text of nobody", with_log(b"of 0of 1")),
    "graph-merge-more_fail": lied("the merged tree has a file of nobody", {**MERGED, "more.txt": b"x"}),
    "graph-merge-less_fail": lied(
        "the merged tree lacks a file that one shard has", {**MERGED, "day": {"0.csv": b"0"}}
    ),
    "graph-merge-same-lost_fail": lied("the merged tree lacks what both have alike", {"day": MERGED["day"]}),
    "graph-merge-first-alone_fail": lied("the merged tree is that of the first shard", TWO[0]),
    "graph-merge-empty-lost_fail": job(
        "an empty directory is left out of the merge",
        31,
        shards={0: {"d": {}, "a": b"a"}, 1: {}},
        expected=as_merged({"a": b"a"}),
    ),
    "graph-merge-clash-lost_fail": job(
        "a directory in which all was in conflict is left out",
        31,
        shards={0: {"d": {"x": b"0"}}, 1: {"d": {"x": b"1"}}},
        expected=as_merged({}),
    ),
    "graph-merge-below_fail": job(
        "a file and a directory at one path, and what is below the directory is merged",
        31,
        shards={0: {"d": b"a file"}, 1: {"d": {"x": b"1"}}},
        expected=as_merged({"d": {"x": b"1"}}),
    ),
    "graph-merge-other-job_fail": job(
        "the statement names the shards of another job", 31, shards=TWO, more=other_job, stated=of_other_job
    ),
    "graph-merge-mixed_fail": job(
        "one of the shards is another job's",
        31,
        shards=TWO,
        more=other_job,
        stated=lambda found: {0: found[0], 1: of_other_job(found)[1]},
    ),
    "graph-merge-sizes_fail": job(
        "the size is what the highest shard's link claims", 31, special=sized, expected=of_sizes(3)
    ),
    "graph-merge-versions_fail": job(
        "of two versions of a CID the first is kept", 31, special=two_versions, expected=older_kept
    ),
    "graph-merge-sharded-root_fail": job(
        "`outputs` of the one shard is linked as it is", 31, special=outputs_in_tries, expected=lambda shards: shards[0]
    ),
    "graph-merge-outputs_fail": job(
        "a shard's `outputs` is a file", 31, special=not_to_be_merged, expected=as_merged({"a": b"a"})
    ),
    "graph-merge-deep_fail": job(
        "what is merged is too deep", 31, first=27, shards={0: deep(b"0"), 1: deep(b"1")}, is_kept=False
    ),
    "graph-merge-twice_fail": job(
        "a number is there twice", 31, shards=TWO, listed=lambda found: [*found.items(), *list(found.items())[1:]]
    ),
    "graph-merge-signed_fail": job(
        "a statement has a signature", 31, shards=TWO, statement=lambda node: node.update(signature="u" + "A" * 86)
    ),
    "graph-merge-kind_fail": job(
        "the statement's part is the statement's record",
        31,
        shards={0: {"a": b"a"}},
        statement=lambda node: node.update(parts=[node["output"]]),
    ),
    "graph-merge-record-forged_fail": job(
        "the merge is true, and a shard's record is not",
        27,
        shards=TWO,
        edits={1: {"stored receipt/0": forged}},
    ),
    "graph-merge-unverified_missing": job(
        "the merge is true, and one of its shards was not verified",
        29,
        shards={0: TWO[0]},
        expected=as_merged(MERGED),
        more=unverified,
        stated=with_unverified,
        seen=seen_second,
    ),
    "graph-merge-without-statement_missing": job(
        "the statement is not here", 31, shards=TWO, without=lambda made: made.merge
    ),
    "graph-merge-without-part_missing": job(
        "the part of the statement is not here", 31, shards=TWO, without=lambda made: made.parts[0]
    ),
    "graph-merge-without-record_missing": job(
        "a shard's record is not here", 31, first=26, shards=TWO, without=lambda made: made.records[1]
    ),
    "graph-merge-without-directory_missing": job(
        "a directory that is merged is not here", 31, first=27, shards=TWO, without=an_output
    ),
    "graph-merge-order_missing": job(
        "it ends at the directory that is not here, before what is wrong",
        31,
        first=27,
        special=last_not_to_be_merged,
        expected=as_merged(MERGED),
        without=an_output,
    ),
}
