"""Why something was refused or failed, as a text that may be sent to a peer: one short line of plain text.

Pure. What is sent must not tell of this machine: paths, addresses and commands are left out by whoever words it.
"""

from __future__ import annotations

from verifier.bounds import MAX_NAME_BYTES


def reason(text: str, *, otherwise: str) -> str:
    """Return the first line of `text` as a reason of 1 to 255 bytes.

    otherwise: taken if there is nothing to show in that line.
    """
    line = next(iter(text.strip().splitlines()), "")
    # Not printable are control characters, lone surrogates, and marks that change the direction of writing.
    shown = " ".join("".join(char if char.isprintable() else " " for char in line).split())
    return shown.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore").rstrip() or otherwise
