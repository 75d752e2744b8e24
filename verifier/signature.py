"""Text form of a signature: multibase base64url without padding (`u` and 86 characters) of its 64 bytes."""

from __future__ import annotations

import base64
import binascii

from storage.errors import VerificationError


def signature_text(signature: bytes) -> str:
    """Return the text form of the 64 bytes of an ed25519 signature."""
    return "u" + base64.urlsafe_b64encode(signature).decode("ascii").rstrip("=")


def signature_bytes(text: str) -> bytes:
    """Return the 64 bytes.

    Raises:
        VerificationError: any other length, alphabet or spelling of them.
    """
    try:
        raw = base64.b64decode(text[1:] + "==", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise VerificationError("must be base64url") from error
    if len(raw) != 64 or signature_text(raw) != text:
        raise VerificationError("must be the multibase base64url form of 64 bytes")
    return raw
