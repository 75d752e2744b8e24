"""HTTP to public addresses only: a name is resolved once, checked, and that very address is connected to.

Checking a name and then connecting by name would ask the resolver twice, and a hostile one may answer differently (DNS
rebinding). So the request goes to the address, with the name as Host and as TLS server name (SNI), and the certificate
is checked against the name. Redirects are the caller's: each one comes here again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import httpx

from storage.errors import UnavailableError, UserError
from storage.public_address import why_not_public

Resolve = Callable[[str, int], list[str]]
"""Returns the IP addresses of a host name. Raises OSError if there are none."""

_MAX_ADDRESSES: Final = 4
"""Tried one after another until one can be connected to."""


def resolve_name(host: str, port: int) -> list[str]:
    """Ask the system's resolver, in its order, without duplicates."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PinnedTransport(httpx.BaseTransport):
    """Sends requests over `below`, which must not keep connections: they would be shared by names of one address.

    allow_private: connect to any address.
    """

    def __init__(
        self, *, allow_private: bool, resolve: Resolve = resolve_name, below: httpx.BaseTransport | None = None
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._below = below

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address of its host.

        Raises:
            UserError: the host has no public address.
            UnavailableError: its name is not known.
            httpx.HTTPError: as any transport.
        """
        addresses = self._addresses(request.url)
        for address in addresses[:-1]:
            try:
                return self._transport().handle_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return self._transport().handle_request(_pinned(request, addresses[-1]))

    def close(self) -> None:
        """Close what is below."""
        if self._below is not None:
            self._below.close()

    def _addresses(self, url: httpx.URL) -> list[str]:
        host = url.raw_host.decode("ascii").strip("[]")
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise UnavailableError(
                "cannot be resolved to an address", where=host, fix="check the name and the network"
            ) from error
        kinds = {address: why_not_public(address) for address in found}
        allowed = [address for address, kind in kinds.items() if self._allow_private or not kind]
        if not allowed:
            shown = ", ".join(f"{address} ({kind})" for address, kind in kinds.items())
            fix = "if that is a server of yours, add --allow-private-urls"
            raise UserError(f"is not on the public internet: {shown}", where=host, fix=fix)
        return allowed[:_MAX_ADDRESSES]

    def _transport(self) -> httpx.BaseTransport:
        if self._below is None:  # loading certificates takes 50 ms
            self._below = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        return self._below


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,  # Host among them, made of the URL that was asked for
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii").strip("[]")},
    )
