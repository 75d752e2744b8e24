"""A job over shards in the real Node: what all shards wrote is what one run over the whole input writes."""

import textwrap
from functools import partial

import pytest

from network.embedded import run_embedded
from network.embedded_shards import run_shards
from runtime.shard_plan import read_sharding, shard_tasks
from storage.cid import cid_text
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from verifier.audit import audit_record
from verifier.compare import make_rule
from verifier.shard_merge import merge_shards

pytestmark = pytest.mark.integration

COUNT_WORDS = textwrap.dedent("""
    import os
    def main(data):
        for folder, folders, files in os.walk("/inputs"):
            for name in files:
                path = os.path.join(folder, name)
                target = path.replace("/inputs", "/outputs")
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(path) as source, open(target, "w") as out:
                    out.write(str(len(source.read().split())))
    """)


def test_shards_together_write_what_one_run_over_the_whole_writes(house, tmp_path):
    builder = TreeBuilder(Importer(house.store))
    for number in range(60):
        builder.add_file(f"{number % 7}/{number}.txt", b"word " * number)
    whole = house.plan(COUNT_WORDS, data=cid_text(builder.finish().cid))
    run = partial(
        run_embedded,
        engine=house.engine,
        store=house.store,
        keys_dir=tmp_path / "keys",
        rule=make_rule(replication=2, confidence=2),
        parallel=1,
    )
    tasks = shard_tasks(whole, read_sharding("/**/*.txt", batch_size=10), house.store)
    results = list(run_shards(tasks, run, at_once=2, stop=house.engine.stop))
    assert sorted(result.task.shard.index for result in results) == list(range(6))
    assert not any(result.has_failed for result in results)
    # Workers were kept: twelve executions of one function need as many processes as ran at a time.
    assert house.engine.pool.stats().started <= 2
    for result in results:
        assert audit_record(house.store, result.session.record).verdict == "valid"

    outputs = {result.task.shard.index: result.session.output for result in results}
    merged = merge_shards(house.store, outputs)
    assert merged.conflicts == ()
    reader = UnixfsReader(house.store)
    unsharded = house.execute(whole).execution.output
    assert reader.resolve(merged.output, "outputs") == reader.resolve(unsharded, "outputs")
