"""A running node, as its operator's commands ask it: one method for each call of docs/api.md. Blocks.

What it answers is bounded, and its errors come out as those of `storage.errors`, in the node's own words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote

from bacalhau.job_events import LAST
from storage.cid import CID, cid_text
from storage.errors import BacalhauError, PeerError, UnavailableError, UserError, VerificationError
from storage.http_client import Answer, HttpClient

PREFIX: Final = "/api/v1"
_JOB: Final = re.compile(r"[0-9a-f]{32}")
_MAX_JSON_BYTES: Final = 32 << 20
_MAX_EVENT_BYTES: Final = 1 << 20
_FAMILIES: Final = {408: UnavailableError, 409: UnavailableError, 424: UnavailableError, 429: UnavailableError,
                    422: VerificationError}  # fmt: skip
"""What other statuses below 500 mean is that the call is wrong."""
_SILENCE_S: Final = 60.0
"""Four heartbeats."""


class NodeClient:
    """Calls to one node; use as a context manager or `close` it."""

    def __init__(self, url: str, token: str, *, is_elsewhere: bool) -> None:
        """Read the address; nothing is sent.

        is_elsewhere: its blocks and jobs are not in this home.

        Raises:
            UserError: no http or https address.
        """
        self._http = HttpClient(url)
        self.token = token
        """What opens it; empty if there is none."""
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.name = self._http.name
        """The address."""
        self.is_elsewhere = is_elsewhere

    def health(self, *, silence_s: float = _SILENCE_S) -> dict[str, Any]:
        """Return who it is, and whether it is well (`ok`); sends no token.

        Raises:
            UnavailableError: nothing answers, or something else does.
        """
        with self._http.send("GET", f"{PREFIX}/health", silence_s=silence_s) as answer:
            found = _object(answer, self.name) if answer.status in (200, 503) else {}
        if not isinstance(found.get("peer"), str) or not isinstance(found.get("ok"), bool):
            raise UnavailableError("is no bacalhau node", where=self.name, fix="check the address")
        return found

    def status(self) -> dict[str, Any]:
        """Return how the node is.

        Raises:
            BacalhauError: as all calls.
        """
        return self._ask("GET", "/node")

    def submit(self, order: Mapping[str, Any]) -> str:
        """Submit a job and return its id.

        Raises:
            BacalhauError: as all calls.
        """
        body = json.dumps(order).encode()
        return str(self._ask("POST", "/jobs", body=[body], media_type="application/json")["job"])

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest jobs, the newest first.

        Raises:
            BacalhauError: as all calls.
        """
        return list(self._ask("GET", "/jobs", params={"limit": str(limit)})["jobs"])

    def job(self, name: str) -> dict[str, Any]:
        """Return all that is known of a job.

        Raises:
            BacalhauError: as all calls.
        """
        view = self._named_job(self._ask("GET", _path(name)))
        report = view.get("report")
        if isinstance(report, dict) and report.get("job") != view["job"]:
            raise UnavailableError("answers with the report of another job", where=self.name)
        return view

    def cancel(self, name: str) -> dict[str, Any]:
        """Give a job up and return its state.

        Raises:
            BacalhauError: as all calls.
        """
        return self._named_job(self._ask("POST", _path(name, "cancel")))

    def shards(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the shards of a job that has ended, as its report lists them.

        Raises:
            BacalhauError: as all calls.
        """
        after = -1
        while page := _entries(
            self._ask("GET", _path(name, "shards"), params={"first": str(after + 1)}), after, self.name
        ):
            yield from page
            after = page[-1]["index"]

    def has_block(self, cid: CID) -> bool:
        """Tell whether a block is there.

        Raises:
            BacalhauError: as all calls.
        """
        with self._http.send("GET", f"{PREFIX}/blocks/{cid_text(cid)}", headers=self._headers) as answer:
            return answer.status == 200

    def logs(self, name: str) -> dict[str, Any]:
        """Return what the function wrote.

        Raises:
            BacalhauError: as all calls.
        """
        return self._ask("GET", _path(name, "logs"))

    def events(self, name: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the events that are there.

        Raises:
            BacalhauError: as all calls.
        """
        with self._send("GET", _path(name, "events"), params={"after": str(after)}) as answer:
            yield from map(_event, _lines(answer))

    def follow(self, name: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield events as they happen, to the last.

        Raises:
            BacalhauError: as all calls; UnavailableError also when the connection ends before the job does.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._send("GET", _path(name, "events"), params={"follow": "1"}, headers=headers) as answer:
            if answer.status == 204:
                return
            for line in _lines(answer):
                if line.startswith(b"data:"):
                    event = _event(line.removeprefix(b"data:"))
                    yield event
                    if event["kind"] == LAST:
                        return
        raise UnavailableError("stopped telling before the job had ended", where=self.name, fix="ask again")

    def save_results(self, name: str, stream: BinaryIO) -> None:
        """Write the proof of a job, a CAR, to a file.

        Raises:
            BacalhauError: as all calls; the file holds a part then.
        """
        with self._send("GET", _path(name, "results")) as answer:
            stream.writelines(answer.pieces())

    def put_blocks(self, car: Iterable[bytes]) -> dict[str, Any]:
        """Send a CAR and return what was kept.

        Raises:
            BacalhauError: as all calls, and whatever the pieces raise.
        """
        # It answers when all is kept: a disk may take its time.
        return self._ask("PUT", "/blocks", body=car, media_type="application/vnd.ipld.car", silence_s=600.0)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _named_job(self, said: dict[str, Any]) -> dict[str, Any]:
        """Check the id, of which names of files are made."""
        if not isinstance(said.get("job"), str) or not _JOB.fullmatch(said["job"]):
            raise UnavailableError("answers with what is no job", where=self.name, fix="is it a bacalhau node?")
        return said

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._send(method, path, **options) as answer:
            return _object(answer, self.name)

    @contextmanager
    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
        media_type: str = "",
        silence_s: float = _SILENCE_S,
    ) -> Iterator[Answer]:
        sent = {**self._headers, **(headers or {})}
        if media_type:
            sent["Content-Type"] = media_type
        place = f"{PREFIX}{path}"
        with self._http.send(method, place, params=params, headers=sent, body=body, silence_s=silence_s) as answer:
            if not 200 <= answer.status < 300:
                raise self._error(answer)
            yield answer

    def _error(self, answer: Answer) -> BacalhauError:
        try:
            said = _object(answer, self.name)
            problem, where, fix = (str(said.get(name, "")) for name in ("problem", "where", "fix"))
        except UnavailableError:
            problem, where, fix = f"answered {answer.status}", "", ""
        if answer.status == 401:
            fix = "set BACALHAU_API_TOKEN to what is in api-token of the node's BACALHAU_DIR"
        if answer.status >= 500 and answer.status not in (502, 503):
            fix = f"see the log of the node, {self.name}"
        if answer.status == 502:
            return PeerError(problem, peer=where, fix=fix)
        family = UnavailableError if answer.status >= 500 else _FAMILIES.get(answer.status, UserError)
        return family(problem or f"answered {answer.status}", where=where or self.name, fix=fix)


def _path(name: str, call: str = "") -> str:
    if not name or "/" in name or name in (".", ".."):
        raise UserError("is neither a job id nor a CID", where=repr(name), fix="see `bacalhau list`")
    return f"/jobs/{quote(name, safe='')}" + (f"/{call}" if call else "")


def _object(answer: Answer, name: str) -> dict[str, Any]:
    try:
        value = json.loads(answer.read(_MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise UnavailableError("answers no JSON", where=name, fix="is it a bacalhau node?") from error
    if not isinstance(value, dict):
        raise UnavailableError("answers no JSON object", where=name, fix="is it a bacalhau node?")
    return value


def _entries(said: dict[str, Any], first: int, name: str) -> list[dict[str, Any]]:
    """Return a page of shards, whose numbers ascend."""
    page = said.get("shards")
    for one in page if isinstance(page, list) else [None]:
        number = one.get("index") if isinstance(one, dict) else None
        if not isinstance(number, int) or number < first:
            raise UnavailableError("answers with what is no list of shards", where=name, fix="is it a bacalhau node?")
        first = number + 1
    return list(page or ())


def _lines(answer: Answer) -> Iterator[bytes]:
    rest = b""
    for piece in answer.arriving():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _MAX_EVENT_BYTES:
            raise UnavailableError(f"sends an event of more than {_MAX_EVENT_BYTES} bytes")
        yield from (line for line in lines if line)


def _event(text: bytes) -> dict[str, Any]:
    try:
        event = json.loads(text)
        if isinstance(event["number"], int) and isinstance(event["kind"], str) and isinstance(event["detail"], dict):
            return dict(event)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise UnavailableError("sends what is no event", fix="is it a bacalhau node of this version?")
