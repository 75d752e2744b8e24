"""What is answered, as JSON: values as they are, and errors with the fields of `storage.errors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from storage.errors import BacalhauError, PeerError, UserError, VerificationError

JSON: Final = "application/json"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class RefusedError(Exception):
    """An answer other than what was asked for, with its status."""

    def __init__(
        self, status: int, problem: str, *, where: str = "", fix: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem
        self.where = where
        self.fix = fix
        self.headers = dict(headers or {})

    def answer(self) -> Response:
        """Return it as a response."""
        said = {"problem": self.problem, "where": self.where, "fix": self.fix}
        return json_answer(said, status=self.status, headers=self.headers)


def json_answer(value: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON object as a response that nobody keeps."""
    return Response(json_bytes(value), status_code=status, media_type=JSON, headers={**_HEADERS, **(headers or {})})


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return an object as ASCII JSON on one line."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def refused(error: BacalhauError) -> RefusedError:
    """Return an expected error with the status of its family: 400 user, 422 false, 502 peer, 503 unavailable."""
    if isinstance(error, UserError):
        status = 400
    elif isinstance(error, VerificationError):
        status = 422
    else:
        status = 502 if isinstance(error, PeerError) else 503
    return RefusedError(status, error.problem, where=error.where, fix=error.fix)
