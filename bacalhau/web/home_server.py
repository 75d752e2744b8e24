"""Serves the pages of a home on which no node runs: what ended here can be looked at, and nothing can be submitted."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from bacalhau.api.app import make_app
from bacalhau.api.http_server import serve_api
from bacalhau.api_token import load_or_create_token
from bacalhau.web.no_node import NoNode
from bacalhau.web.page_files import read_page_files
from runtime.npm_client import found_modules

if TYPE_CHECKING:
    from bacalhau.services import Services

HOST: Final = "127.0.0.1"


def serve_home(services: Services, port: int, ready: Callable[[str], None]) -> None:
    """Serve on loopback until SIGINT or SIGTERM. ready: told the address, with the token, once it answers.

    Raises:
        UserError: the home cannot be used. UnavailableError: the port is taken.
    """
    home = services.home
    home.create()
    with ExitStack() as stack:
        store = stack.enter_context(services.open_store())
        jobs = stack.enter_context(services.open_jobs())
        lineage = stack.enter_context(services.open_lineage())
        token = load_or_create_token(home.api_token_path)
        pages = read_page_files(lambda: found_modules(home.cache_dir))

        async def main() -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async with trio.open_nursery() as nursery:
                    app = make_app(NoNode(), store, jobs, token=token, pages=pages, lineage=lineage)
                    url = await nursery.start(partial(serve_api, app, HOST, port))
                    ready(f"{url}/#token={token}")
                    async for _ in signals:
                        nursery.cancel_scope.cancel()
                        break

        trio.run(main)
