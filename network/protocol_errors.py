"""Whose mistake it was: ours (`LocalProtocolError`) or the other end's (`RemoteProtocolError`). Never mixed up."""

from __future__ import annotations

from storage.errors import PeerError


class LocalProtocolError(RuntimeError):
    """A driver or a state machine of ours broke its rules; never a peer's fault, and a bug."""


class RemoteProtocolError(PeerError):
    """What a peer sent is not a message of this protocol, or not one that it may send; the message is dropped."""
