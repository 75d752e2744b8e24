"""`bacalhau graph export`: where a result comes from, in a form that other tools read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import UserError

if TYPE_CHECKING:
    from bacalhau.provenance import Provenance
    from bacalhau.services import Services
    from storage.sqlite_block_store import SqliteBlockStore

NO_LICENCE: Final = "https://schema.org/license#not-stated"
"""Stands where a crate must name a licence and nobody stated one; grants nothing."""
LAST_EPOCH: Final = 253402300799
"""The end of the year 9999; what is beyond is in no sound input."""
_FORMATS: Final = ("json", "json-ld", "dot", "svg", "in-toto", "ro-crate", "car")
_TO_FOLDER_OR_FILE: Final = frozenset({"ro-crate", "car"})


@click.command("export", short_help="Write a record's provenance in a form that others read.")
@click.argument("target", metavar="CID|JOB")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="json", show_default=True)
@click.option("-o", "--output", "path", type=named_path, metavar="PATH",
              help="Where to; a crate is a directory. Without it text goes to stdout.")  # fmt: skip
@click.option("--published", metavar="YYYY-MM-DD", help="Date of publication of a crate; default: the task's epoch.")
@click.option("--licence", "--license", metavar="URL", default=NO_LICENCE, help="Licence of a crate's content.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, target: str, form: str, path: Path | None, published: str | None, licence: str, as_json: bool
) -> int:
    """Export a record, or that of an output, task or job, with all records that it comes from.

    json and json-ld (PROV-O) say everything; dot and svg are pictures; in-toto is a SLSA provenance statement that is
    signed by this machine's node; ro-crate is a Workflow Run RO-Crate; car has the evidence, for `audit --deep`.
    Each says what the result rests on: verified, tainted, unverified or unknown.
    """
    from bacalhau.render import print_json, print_text

    if path is None and form in _TO_FOLDER_OR_FILE:
        raise UserError("needs a place to write to", where=f"--format {form}", fix="give one with -o PATH")
    services = services_of(ctx)
    with services.open_store() as store:
        provenance = _read(target, services, store)
        if form == "ro-crate" and path is not None:
            _write_crate(store, provenance, path.absolute(), published, licence)
        elif form == "car" and path is not None:
            _write_car(store, provenance, path.absolute())
        else:
            text = _text(form, provenance, store, services)
            if path is None:
                click.echo(text, nl=False)
                return ExitCode.DONE
            _write_text(path.absolute(), text)
    last = provenance.last
    said = {
        "record": cid_text(last.record),
        "format": form,
        "path": str(path),
        "records": len(provenance.performed),
        "missing": len(provenance.missing),
        "footing": last.footing.value,
    }
    records = counted(len(provenance.performed), "record")
    print_json(said) if as_json else print_text(f"{path}  {last.footing.value}, {records}")
    return ExitCode.DONE


def _read(target: str, services: Services, store: SqliteBlockStore) -> Provenance:
    from bacalhau.provenance import read_provenance
    from bacalhau.targets import find_target

    with services.open_jobs() as jobs:
        record = find_target(target, jobs).record
    if record is None:
        raise UserError("no record here belongs to this", where=target, fix="give the CID of a record")
    return read_provenance(store, record)


def _text(form: str, provenance: Provenance, store: SqliteBlockStore, services: Services) -> str:
    from bacalhau.provenance_json import as_text, to_json

    if form == "in-toto":
        return as_text(_signed(provenance, store, services))
    if form == "json-ld":
        from bacalhau.prov_json_ld import to_json_ld

        return as_text(to_json_ld(provenance))
    if form == "json":
        return as_text(to_json(provenance))
    from bacalhau.drawing_dot import to_dot
    from bacalhau.drawing_svg import to_svg
    from bacalhau.lineage_drawing import Drawing, draw

    forms: dict[str, Callable[[Drawing], str]] = {"dot": to_dot, "svg": to_svg}
    return forms[form](draw(provenance))


def _signed(provenance: Provenance, store: SqliteBlockStore, services: Services) -> object:
    """Sign what was audited here and found valid; nothing else is worth a signature."""
    from bacalhau.signed_provenance import sign_provenance
    from network import key_store

    services.home.create()
    identity = key_store.load_or_create(services.home.keys_dir / "embedded-1.key")
    with services.open_lineage() as lineage:
        return sign_provenance(provenance, store, identity, lineage)


def _write_crate(
    store: SqliteBlockStore, provenance: Provenance, path: Path, published: str | None, licence: str
) -> None:
    from datetime import UTC, datetime

    from bacalhau.crate_layout import lay_out_crate

    if published is not None and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", published):
        raise UserError("must be a date", where=f"--published {published}", fix="write it like 2026-11-27")
    if not re.fullmatch(r"https?://[!-~]+", licence):
        raise UserError("must be the URL of a licence", where=f"--licence {licence}", fix="see spdx.org/licenses")
    seconds = provenance.last.epoch or 0
    epoch = datetime.fromtimestamp(seconds if 0 <= seconds <= LAST_EPOCH else 0, UTC).date().isoformat()
    lay_out_crate(store, provenance, path, published=published or epoch, licence=licence)


def _write_car(store: SqliteBlockStore, provenance: Provenance, path: Path) -> None:
    from bacalhau.proof import write_proofs
    from storage.new_file import new_file

    roots: list[CID] = [one.record for one in reversed(provenance.performed) if one.tier == "verified"]
    if provenance.root not in roots:
        raise UserError("is of the tier unverified: there is no evidence to export", where=cid_text(provenance.root))
    with new_file(path) as stream:
        write_proofs(store, roots, stream)


def _write_text(path: Path, text: str) -> None:
    from storage.new_file import new_file

    with new_file(path) as stream:
        stream.write(text.encode())
