"""What a function returned, read back from its `result`. Pure.

`result` is bytes as they are, text as UTF-8, nothing for None, and canonical DAG-JSON for everything else
(docs/functions.md). Which of them it was is not written down, so a caller who knows says so, and else it is what it
reads as.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from storage.errors import UserError

RETURNS: Final = ("auto", "bytes", "text", "json")
"""Ways to read a result."""


def read_result(result: bytes, returns: str = "auto") -> Any:
    """Return the value that a result holds.

    returns: `bytes`, `text` or `json`; `auto`: None if it is empty, else JSON if it is canonical JSON, else text if it
    is UTF-8, else bytes. A function that returns the text `5` gives 5 then, as one that returns the number does.

    Raises:
        UserError: it is not what `returns` says.
    """
    if returns == "bytes":
        return result
    try:
        text = result.decode("utf-8")
        if returns == "text":
            return text
        value = json.loads(text) if returns == "json" else _canonical(text)
    except (ValueError, RecursionError) as error:
        if returns == "auto":
            return result
        fix = 'read it with returns="bytes", or take `.raw`'
        raise UserError(f"the result is not {returns}", where=f"{result[:40]!r}", fix=fix) from error
    return _with_bytes(value)


def _canonical(text: str) -> Any:
    """Return what a text is as JSON, if it is written as the guest writes values; else the text."""
    if not text:
        return None
    try:
        value = json.loads(text)
        # By code points is by UTF-8 bytes, and floats are written as `repr` does, there as here.
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value if written == text else text


def _with_bytes(value: Any) -> Any:
    """Return a value with the bytes that DAG-JSON writes as {"/":{"bytes":…}}."""
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["/"] and isinstance(value["/"], dict) and isinstance(value["/"].get("bytes"), str):
        text = value["/"]["bytes"]
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except binascii.Error:
            return value
    return {key: _with_bytes(item) for key, item in value.items()}
