"""`bacalhau-audit FILE.car`: the audit of docs/audit.md for who has nothing else installed.

Offline, from one file, with this package and `storage` alone; `bacalhau audit --car` does the same and more (it runs
the task again). Exit codes: 0 valid, 1 invalid, 2 wrong call, 4 could not check.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from storage.car_block_store import CarBlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.errors import UserError
from verifier.audit import audit_record
from verifier.audit_car import CarReport, audit_car, join_verdicts, records_of
from verifier.audit_deep import DeepReport, audit_ancestors
from verifier.audit_report import AuditReport, Check, blind_entry
from verifier.audit_sample import SEED_BYTES, Sample, list_subject, parse_part, parse_seed
from verifier.graph_audit import FIRST

EXIT_CODES: Final = {"valid": 0, "invalid": 1, "unchecked": 4}
USAGE: Final = 2
BROKEN_PIPE: Final = 141
_NAME_SHOWN: Final = 80
"""Characters of a name that is too long."""
_WORDS: Final = {True: "ok", False: "FALSE", None: "unknown"}


def main(arguments: Sequence[str]) -> int:
    """Audit as the arguments say, print the report to stdout, and return the exit code."""
    asked = _parser().parse_intermixed_args(arguments)
    try:
        wanted = None if asked.cid is None else parse_cid(asked.cid)
        sample = _sample(asked.sample, asked.sample_seed, deep=asked.deep)
        with _opened(Path(asked.car)) as stream:
            car = CarBlockStore(stream)
            report = audit_car(car, wanted)
            deep = _deep(car, report, sample) if asked.deep else None
    except UserError as error:
        print(f"bacalhau-audit: {_shown(str(error))}", file=sys.stderr)  # noqa: T201
        return USAGE
    except OSError as error:
        print(f"bacalhau-audit: {asked.car}: cannot be read: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return EXIT_CODES["unchecked"]
    said = to_json(report, deep)
    print(json.dumps(said) if asked.json else as_text(said))  # noqa: T201
    return EXIT_CODES[said["verdict"]]


def run() -> None:
    """Run the command line of this process and exit; what the package installs as `bacalhau-audit`."""
    # What others wrote can hold what the locale cannot show; that must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read went away: neither valid nor invalid, and no traceback at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bacalhau-audit",
        description="Check the evidence in a CAR file that y = f(x) was agreed on.",
        epilog="Exit codes: 0 valid, 1 invalid, 2 wrong call, 4 could not check.",
    )
    parser.add_argument("car", metavar="FILE", help="the CAR file; nothing else is read")
    parser.add_argument("cid", metavar="CID", nargs="?", help="the record, output or task that it is to prove")
    parser.add_argument("--deep", action="store_true", help="audit the records that it comes from too")
    parser.add_argument("--sample", metavar="PART", help="with --deep: look at this part of them only, such as 5%%")
    parser.add_argument("--sample-seed", metavar="HEX", help="repeat the choice of an earlier audit")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _sample(part: str | None, seed: str | None, *, deep: bool) -> Sample | None:
    if part is None and seed is None:
        return None
    if part is None or not deep:
        raise UserError("needs --deep and --sample", where="--sample", fix="one record is no sample")
    return Sample(part=parse_part(part), seed=secrets.token_bytes(SEED_BYTES) if seed is None else parse_seed(seed))


def _opened(path: Path) -> BinaryIO:
    try:
        stream = path.open("rb")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            where = f"{str(path)[:_NAME_SHOWN]}…"
            raise UserError("its name is too long for this machine", where=where) from error
        raise UserError(f"cannot be read: {(error.strerror or str(error)).lower()}", where=str(path)) from error
    if not stream.seekable():
        stream.close()
        raise UserError("is no file that can be read twice", where=str(path), fix="save it first")
    return stream


def _deep(car: CarBlockStore, report: CarReport, sample: Sample | None) -> DeepReport:
    records = [record for root, _ in report.records for record in records_of(car, root)]
    subject = records[0] if len(records) == 1 else list_subject(records)

    def audit(cid: CID, _is_chosen: bool) -> AuditReport:
        return audit_record(car, cid)

    return audit_ancestors(car, records, subject, audit, sample)


def to_json(report: CarReport, deep: DeepReport | None = None) -> dict[str, Any]:
    """Return what was found as docs/audit.md has it."""
    verdicts = [report.verdict] + ([] if deep is None else [AuditReport(checks=tuple(deep.checks)).verdict])
    said: dict[str, Any] = {
        "verdict": join_verdicts(verdicts),
        "checks": [_check(report.file)],
        "records": [
            {
                "record": cid_text(record),
                "verdict": one.verdict,
                **blind_entry(one),
                "checks": [_check(check) for check in one.checks],
            }
            for record, one in report.records
        ],
    }
    if deep is not None:
        said["checks"] += [_check(check) for check in deep.checks]
        said["ancestors"] = {
            "counts": dict(deep.counts),
            "generations": deep.generations,
            "unblind": deep.unblind,
            "listed": [
                {"record": cid_text(one.record), "verdict": one.verdict, "reason": one.reason} for one in deep.listed
            ],
        }
    said["checks"] += [] if report.logs is None else [_check(report.logs)]
    return said


def _check(check: Check) -> dict[str, Any]:
    return {"n": check.n, "name": check.name, "ok": check.ok, "detail": check.detail}


def as_text(said: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [said["verdict"], *map(_line, said["checks"])]
    for one in said["records"]:
        kind = "graph" if one["checks"] and one["checks"][0]["n"] == FIRST else "record"
        lines += [f"{kind} {one['record']}: {one['verdict']}", *map(_line, one["checks"])]
    for one in said.get("ancestors", {"listed": []})["listed"]:
        lines.append(f"ancestor {one['record']}: {one['verdict']}: {_shown(one['reason'])}")
    return "\n".join(lines)


def _line(check: dict[str, Any]) -> str:
    return f"  {_WORDS[check['ok']]:<7} {check['n']:>2} {check['name']:<11}  {_shown(check['detail'])}"


def _shown(text: str) -> str:
    """Return a text that others wrote with nothing in it that moves a cursor."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


if __name__ == "__main__":
    run()
