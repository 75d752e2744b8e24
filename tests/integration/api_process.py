"""Serve a fake node's API in this process: prints its address, token and a CID with much below it; ends with stdin."""

import hashlib
import json
import sys
from pathlib import Path

from bacalhau.home import Home
from storage.cid import cid_text
from storage.unixfs_import import Importer
from tests.unit.bacalhau.fake_node import served
from tests.unit.bacalhau.fakes import Desk, FakeEngine

CONTENT_BYTES = 48 << 20


def main():
    home = Home(Path(sys.argv[1]))
    home.create()
    services = Desk(home=home, engine=FakeEngine(), read_output=None).services()
    with services.open_store() as store:
        large = Importer(store).bytes(hashlib.shake_128(b"large").digest(CONTENT_BYTES)).cid
    with served(services) as node:
        print(json.dumps({"url": node.url, "token": node.token, "large": cid_text(large)}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
