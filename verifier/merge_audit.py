"""Check that an output is the merge of what some records gave: by making it again, with nothing written anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.graph_reading import read_facts
from verifier.shard_merge import MergeRoom, merge_shards


def check_merged(store: BlockStore, output: CID, records: Mapping[int, CID], room: MergeRoom | None = None) -> None:
    """Check an output; records: by shard. That these are sound is another check's.

    room: for the entries of this and other merges, None for those of this one alone.

    Raises:
        VerificationError: the merge gives something else, or an output is no directory of a function's.
        UnavailableError: a record or a directory is not here, or there are more entries than are merged.
    """
    outputs = {}
    for number, record in records.items():
        try:
            outputs[number] = read_facts(store, record).output
        except VerificationError as error:
            raise UnavailableError("needs a sound record", where=cid_text(record)) from error
    check_merge(store, output, outputs, room)


def check_merge(store: BlockStore, output: CID, outputs: Mapping[int, CID], room: MergeRoom | None = None) -> None:
    """Check the same of outputs by shard; raises as `check_merged`."""
    if not outputs:
        raise UnavailableError("no shard has an output")
    with unknown_beyond():
        merged = merge_shards(OverlayBlockStore(store), outputs, room).output
    if merged != output:
        raise VerificationError("the outputs of the shards give another one", where=cid_text(output))


@contextmanager
def unknown_beyond() -> Iterator[None]:
    """Make of what is too much to be looked at what nobody knows."""
    try:
        yield
    except UserError as error:
        raise UnavailableError(error.problem, where=error.where) from error
