"""What an earlier release kept, read as this one would have kept it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from verifier.schema import Schema


def as_now(kind: type[Schema], node: object, since: Mapping[str, Mapping[str, object]]) -> object:
    """Return the node of an entry as the version of `kind` has it; what is of no version in `since` stays what it is.

    since: by earlier version, what that did not say, and meant.
    """
    if isinstance(node, dict) and (said := since.get(str(node.get("v")))) is not None:
        return {**said, **node, "v": kind.VERSION}
    return node
