"""Logs as JSON: a line each, with what it is about."""

import json
import logging
import sys

import pytest

from bacalhau.cli.serve import log_handler
from bacalhau.log_lines import JsonLines
from storage.errors import UserError


def record(message, *arguments, exc_info=None, **about):
    made = logging.LogRecord("network.node", logging.WARNING, __file__, 1, message, arguments, exc_info)
    made.created = 1_767_323_045.25
    vars(made).update(about)
    return made


def test_a_record_is_one_object_with_the_ids_that_it_is_about():
    line = JsonLines().format(record("job %s ends", "ab", job="ab", task="bafy", stray="no"))
    assert json.loads(line) == {
        "at": "2026-01-02T03:04:05.250+00:00",
        "level": "WARNING",
        "logger": "network.node",
        "message": "job ab ends",
        "job": "ab",
        "task": "bafy",
    }


def test_what_a_stranger_wrote_begins_no_line():
    line = JsonLines().format(record("said %s", '"}\n{"level": "ERROR"}\u2028', peer="p\n"))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["level"] == "WARNING"


def test_a_traceback_is_in_the_line():
    try:
        int("why")
    except ValueError:
        line = JsonLines().format(record("broke", exc_info=sys.exc_info()))
    assert json.loads(line)["traceback"].endswith("base 10: 'why'")
    assert "\n" not in line


def test_the_variable_says_which_lines_there_are():
    made = record("job %s", "ab")
    assert log_handler({}).format(made).endswith(" WARNING network.node: job ab")
    assert log_handler({"BACALHAU_LOG_FORMAT": "text"}).format(made).endswith(" WARNING network.node: job ab")
    assert json.loads(log_handler({"BACALHAU_LOG_FORMAT": "json"}).format(made))["message"] == "job ab"
    with pytest.raises(UserError, match="xml"):
        log_handler({"BACALHAU_LOG_FORMAT": "xml"})
