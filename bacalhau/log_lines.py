"""One JSON object a line for what a node logs, for whoever collects logs by job and task (docs/telemetry.md)."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

VARIABLE: Final = "BACALHAU_LOG_FORMAT"
JSON: Final = "json"
TEXT: Final = "text"
FIELDS: Final = ("job", "task", "session", "peer")
"""What a record may say that it is about, as `extra`."""


class JsonLines(logging.Formatter):
    """Formats records as JSON: what strangers wrote cannot begin a line, or a field, of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": at, "level": record.levelname, "logger": record.name}
        line["message"] = record.getMessage()
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
