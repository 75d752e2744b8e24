"""The API's description (OpenAPI 3.1), as data: served at `/openapi.json`, and what the tests generate calls from."""

from __future__ import annotations

from typing import Any, Final

from bacalhau import __version__
from bacalhau.api import document_schemas as schemas
from bacalhau.api.block_handlers import CAR, RAW_BLOCK
from bacalhau.api.event_stream import JSON_LINES, MAX_NUMBER, SERVER_SENT
from bacalhau.api.guard import PREFIX
from bacalhau.api.job_finder import MAX_LISTED
from bacalhau.api.shard_handlers import MAX_SHARDS_LISTED
from network.shard_list import MAX_SHARDS

_JSON: Final = "application/json"
_OPEN: Final[dict[str, Any]] = {"security": []}
_PROBLEMS: Final = {
    400: "The call is wrong.",
    401: "The token is missing or wrong.",
    404: "There is none.",
    408: "The body came too slowly.",
    409: "It is in another state: an id that is taken, or a job that has not ended.",
    413: "The body is too long.",
    415: "The body is not said to be of the right type.",
    421: "The Host header names another host.",
    422: "Something was checked and is false.",
    424: "A block of the task is not here.",
    429: "Too many do this already.",
    503: "Something is not available.",
}
_ALWAYS: Final = (401, 421, 503)


def make_document() -> dict[str, Any]:
    """Return the description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bacalhau node",
            "version": __version__,
            "description": "What the operator of a node asks and tells it. See docs/api.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas.SCHEMAS,
        },
    }


def _paths() -> dict[str, Any]:
    job, cid = _parameter("job", schemas.JOB_NAME), _parameter("cid", schemas.CID)
    return {
        "/jobs": {
            "get": _operation(
                "listJobs", "The newest jobs, the newest first.", {200: _json("Jobs")}, 400,
                parameters=[_query("limit", _integer(1, MAX_LISTED, 20))],
            ),
            "post": _operation(
                "submitJob", "Accept a job: when this is answered it is durable. The same again changes nothing.",
                {202: _json("Accepted", {"Location": _text_header("Where the job is.")})},
                400, 408, 409, 413, 415, 422, 424,
                body={_JSON: {"schema": _ref("Submission")}},
            ),
        },
        "/jobs/{job}": {
            "parameters": [job],
            "get": _operation("getJob", "All that is known of a job.", {200: _json("Job")}, 400, 404),
        },
        "/jobs/{job}/cancel": {
            "parameters": [job],
            "post": _operation(
                "cancelJob", "Give a job up; one that has ended stays as it is.", {200: _json("State")}, 400, 404
            ),
        },
        "/jobs/{job}/events": {"parameters": [job], "get": _events()},
        "/jobs/{job}/shards": {
            "parameters": [job],
            "get": _operation(
                "getShards", "The shards of a job that has ended, by number; none if it was one task.",
                {200: _json("Shards")}, 400, 404, 409,
                parameters=[
                    _query("first", {**_integer(0, MAX_SHARDS, 0), "description": "The first number."}),
                    _query("limit", _integer(1, MAX_SHARDS_LISTED, MAX_SHARDS_LISTED)),
                ],
            ),
        },
        "/jobs/{job}/logs": {
            "parameters": [job],
            "get": _operation(
                "getLogs", "What the function wrote: the first 64 KiB of each.", {200: _json("Logs")},
                400, 404, 409, 422,
            ),
        },
        "/jobs/{job}/results": {
            "parameters": [job],
            "get": _operation(
                "getResults", "The job's record and all that its audit reads, as a CAR.",
                {200: {**_binary(CAR), "headers": {"Content-Disposition": _text_header("A file name.")}}},
                400, 404, 409, 422, 429,
            ),
        },
        "/blocks": {
            "put": _operation(
                "putBlocks", "Keep the blocks of a CAR; each is checked.", {200: _json("Kept")},
                400, 408, 413, 415, 422, 429,
                body=_binary(CAR)["content"],
            ),
        },
        "/blocks/{cid}": {
            "parameters": [cid],
            "get": _operation("getBlock", "The bytes of one block, checked.", {200: _binary(RAW_BLOCK)}, 400, 404, 422),
        },
        "/node": {"get": _operation("getNode", "How the node is.", {200: _json("Node")})},
        "/health": {"get": {
            "operationId": "getHealth",
            "summary": "Whether the node can keep what it is told.",
            **_OPEN,
            "responses": {
                "200": _described("It can.", _json("Health")),
                "503": _described("It cannot.", _json("Health")),
                "421": _problem(421),
            },
        }},
        "/openapi.json": {"get": {
            "operationId": "getDescription",
            "summary": "This description.",
            **_OPEN,
            "responses": {
                "200": _described("OpenAPI 3.1.", {"content": {_JSON: {"schema": {"type": "object"}}}}),
                "421": _problem(421),
            },
        }},
    }  # fmt: skip


def _events() -> dict[str, Any]:
    # Of a media type that is a sequence, OpenAPI before 3.2 describes each item.
    answered = {"content": {JSON_LINES: {"schema": _ref("Event")}, SERVER_SENT: {"schema": _ref("SentEvent")}}}
    return _operation(
        "getEvents",
        "What happened to a job: JSON lines, or server-sent events if asked for by Accept or `follow`.",
        {200: answered, 204: {"description": "Nothing will follow: do not come again."}},
        400,
        404,
        429,
        parameters=[
            _query("after", {**_integer(0, MAX_NUMBER, 0), "description": "Only events with a greater number."}),
            _query("follow", {**_integer(0, 1, 0), "description": "1: go on until the job has ended."}),
        ],
    )


def _operation(
    name: str,
    summary: str,
    answers: dict[int, dict[str, Any]],
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    responses = {str(status): _described("Done.", answer) for status, answer in answers.items()}
    responses |= {str(status): _problem(status) for status in sorted({*problems, *_ALWAYS})}
    made: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    if parameters:
        made["parameters"] = parameters
    if body:
        made["requestBody"] = {"required": True, "content": body}
    return made


def _described(text: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, **answer}


def _json(name: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"content": {_JSON: {"schema": _ref(name)}}}
    return {**content, "headers": headers} if headers else content


def _binary(media_type: str) -> dict[str, Any]:
    return {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}


def _problem(status: int) -> dict[str, Any]:
    return _described(_PROBLEMS[status], _json("Problem"))


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _integer(low: int, high: int, default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def _text_header(text: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": {"type": "string"}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
