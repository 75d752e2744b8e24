"""A process that uses an image cache step by step: what it does goes to stdout, it goes on when it is told on stdin.

    image_maker_stand_in.py DIRECTORY SEED [FILE_LIMIT]

Lines: the phrases of progress, `making` (waits for a line), `open CID` (waits for a line), `error …`.
"""

import resource
import sys
from pathlib import Path

from runtime.image_cache import ImageCache
from runtime.image_model import PAGE_BYTES, ImageKey
from storage.cid import DAG_CBOR, cid_text, make_cid
from storage.errors import BacalhauError


def say(line):
    print(line, flush=True)


def make(memory):
    memory.write(bytes([seed]) * PAGE_BYTES)
    memory.flush()
    say("making")
    sys.stdin.readline()
    memory.write(bytes([seed]) * 9 * PAGE_BYTES)
    return {"seed": seed}


directory, seed = Path(sys.argv[1]), int(sys.argv[2])
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
key = ImageKey(runtime=make_cid(DAG_CBOR, bytes([seed])), lock=None)
try:
    with ImageCache(directory).open_or_make(key, make, say) as opened:
        say(f"open {cid_text(opened.cid)}")
        sys.stdin.readline()
        say(f"read {opened.memory.read() == bytes([seed]) * 10 * PAGE_BYTES}")
except BacalhauError as error:
    say(f"error {type(error).__name__} {error}")
