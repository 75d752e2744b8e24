"""A lint report as SARIF 2.1.0, which code hosts and editors show beside the lines.

Source: OASIS Standard, Static Analysis Results Interchange Format 2.1.0: §3.13 (sarifLog), §3.14 (run), §3.27 (result),
§3.49 (reportingDescriptor).
"""

from __future__ import annotations

from typing import Any, Final

from runtime.lint.finding import Finding
from runtime.lint.linter import LintReport
from runtime.lint.rules import RULES, Rule

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif_log(report: LintReport, *, version: str, root: str) -> dict[str, Any]:
    """Return the log. version: of this program. root: URI of the function's directory, ending in a slash."""
    rules = list(RULES.values())
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "bacalhau lint",
                        "semanticVersion": version,
                        "rules": [_descriptor(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"FUNCTION": {"uri": root}},
                "invocations": [
                    {
                        "executionSuccessful": not report.unparsed,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": text}} for text in report.notes
                        ],
                    }
                ],
                "results": [_result(finding, rules.index(finding.rule)) for finding in report.findings],
            }
        ],
    }


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": f"{rule.what[0].upper()}{rule.what[1:]}."},
        "fullDescription": {"text": f"{rule.why[0].upper()}{rule.why[1:]}."},
        "help": {"text": f"{rule.advice[0].upper()}{rule.advice[1:]}."},
        "defaultConfiguration": {"level": rule.level.value},
        "properties": {"tags": [rule.category.value]},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = finding.place
    region = {"startLine": place.line, "startColumn": place.column}
    if (place.end_line, place.end_column) > (place.line, place.column):
        region |= {"endLine": place.end_line, "endColumn": place.end_column}
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": finding.level.value,
        "message": {"text": f"{finding.message}; {finding.rule.why}; {finding.rule.advice}."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(place.path), "uriBaseId": "FUNCTION"},
                    "region": region,
                }
            }
        ],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path)
