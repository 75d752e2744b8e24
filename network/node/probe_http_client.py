"""Asks an operator's URL whether to take a job: the job in a POST, the answer in the status. Runs on trio.

The operator named the address, so any is fine; it is asked directly, past the proxies of the environment, and a
redirect is no answer. Nothing is kept open between two questions.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import Final

import httpx
import trio

from network.node.reasons import reason

_KEPT_BYTES: Final = 4096
"""Of an answer: one line is shown, of 255 bytes at most."""


async def ask_url(url: str, question: bytes, *, limit_s: float) -> str:
    """Return why the URL refuses the job: the first line of its answer; empty if it takes it.

    A status of 200 to 299 takes it. Whoever is out of reach, or takes longer than `limit_s` seconds, refuses.
    """
    try:
        with trio.fail_after(limit_s):
            return await _ask(url, question)
    except trio.TooSlowError:
        return f"the operator's probe did not answer within {limit_s:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Its text may name the address, which is not for strangers.
        return f"the operator's probe is out of reach ({type(error).__name__})"


async def _ask(url: str, question: bytes) -> str:
    headers = {"Content-Type": "application/json", "Accept": "text/plain", "Accept-Encoding": "identity"}
    # No time limits here: the caller's is for all of it.
    client = httpx.AsyncClient(verify=_certificates(), trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113
    async with client, client.stream("POST", url, content=question, headers=headers) as response:
        if response.is_success:
            return ""
        said = await _beginning(response)
        otherwise = f"refused by the operator's probe (status {response.status_code})"
        return reason(said.decode("utf-8", "replace"), otherwise=otherwise)


async def _beginning(response: httpx.Response) -> bytes:
    said = bytearray()
    # To leave the loop would leave httpx's generators to the garbage collector, which trio warns of.
    with trio.CancelScope() as enough:
        async for piece in response.aiter_raw(_KEPT_BYTES):
            said += piece[: _KEPT_BYTES - len(said)]
            if len(said) == _KEPT_BYTES or b"\n" in said:
                enough.cancel()
    return bytes(said)


@cache
def _certificates() -> ssl.SSLContext:
    """Return whom to trust; reading it takes longer than a question."""
    return httpx.create_ssl_context(trust_env=False)
