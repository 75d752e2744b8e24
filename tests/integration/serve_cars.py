"""Serve what is in some CARs by our trustless gateway on loopback, out of a durable store as a node does.

Arguments: where the store is to be, and the CARs. Prints the address; ends when stdin does.
"""

import sys
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from storage.car import read_car
from storage.gateway_asgi import GatewayApp
from storage.sqlite_block_store import SqliteBlockStore


async def main(place: str, *cars: str) -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "CRITICAL"
    with SqliteBlockStore(Path(place)) as store:
        for car in cars:
            with Path(car).open("rb") as stream:
                store.put_many(read_car(stream).blocks)
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(serve, GatewayApp(store), config)
            print(bound[0], flush=True)
            await trio.to_thread.run_sync(sys.stdin.read)
            nursery.cancel_scope.cancel()


trio.run(main, *sys.argv[1:])
