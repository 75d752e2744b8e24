"""A block store that counts how often it is read."""

from storage.blocks import MemoryBlockStore


class CountingBlockStore(MemoryBlockStore):
    def __init__(self):
        super().__init__()
        self.reads = 0

    def get(self, cid):
        self.reads += 1
        return super().get(cid)
