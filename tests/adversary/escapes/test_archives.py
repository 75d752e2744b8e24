"""Wheels and sources of strangers: refused before a worker starts, and harmless to one that gets them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runtime.engine import UndeterminedError
from runtime.wheel_index import WheelMember
from storage.errors import UserError, VerificationError
from tests.adversary.escapes.attempt import alone
from tests.adversary.escapes.cases.archives import CASES, LIAR, STRANGE, BadWheel
from tests.adversary.escapes.side_module import with_wheel

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_parent_refuses(house: Any, case: BadWheel) -> None:
    plan = with_wheel(house.plan("def main(data): return 1"), case.content, house.store)
    with pytest.raises(VerificationError, match=rf"\(check {case.check} of wheels\)"):
        house.execute(plan)


def unchecked(size: Callable[[zipfile.ZipInfo], int] = lambda info: info.file_size) -> Any:
    """Return an `index_wheel` that passes on whatever the archive says."""

    def index(file: BinaryIO, *, where: str) -> tuple[WheelMember, ...]:
        with zipfile.ZipFile(file) as archive:
            return tuple(
                WheelMember(
                    path=info.orig_filename,
                    size=size(info),
                    compressed_size=info.compress_size,
                    offset=info.header_offset + 30 + len(info.orig_filename.encode()) + len(info.extra),
                    method=info.compress_type,
                    is_dir=False,
                )
                for info in archive.infolist()
            )

    return index


LOOK = """
import importlib, json
site = "/lib/python3.14/site-packages"
met = {"listed": sorted(os.listdir(site)), "link": open(f"{site}/evil/link").read()}
for path in ("/escaped.py", "/lib/escaped.py", "/tmp/absolute.py", f"{site}/../../../escaped.py"):
    met[path] = os.path.exists(path)
met["clean"] = hasattr(importlib.import_module("__proto__.polluted"), "here")
return json.dumps(met)
"""


def test_without_the_checks_a_member_is_bytes_behind_a_name(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker opens no path that a wheel names: it reads from one descriptor, and names are keys of a map."""
    plan = with_wheel(house.plan(alone(LOOK)), STRANGE, house.store)
    monkeypatch.setattr("runtime.worker_files.index_wheel", unchecked())
    met = json.loads(house.execute(plan).result)
    assert met.pop("listed") == ["", "__proto__", "evil", "evil-1.dist-info"]
    assert (met.pop("link"), met.pop("clean")) == ("/etc/passwd", True)
    assert set(met.values()) == {False}


def test_without_the_checks_a_member_inflates_to_its_size_or_not_at_all(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = with_wheel(house.plan(alone("open('/lib/python3.14/site-packages/evil/bomb').read()")), LIAR, house.store)
    monkeypatch.setattr("runtime.worker_files.index_wheel", unchecked(lambda _: 10))
    with pytest.raises(UndeterminedError, match="Cannot create a Buffer larger than 10 bytes"):
        house.execute(plan)


def source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "function.py").write_text("def main(data): return open('/function/helper.txt').read()")
    return folder


def test_a_source_s_links_lead_nowhere_else(house: Any, tmp_path: Path) -> None:
    """A directory from a stranger must not bring files of whoever runs it into the store."""
    (tmp_path / "secret.txt").write_text("a secret")
    folder = source(tmp_path / "function")
    link = folder / "helper.txt"
    for target in (tmp_path / "secret.txt", Path("../secret.txt"), Path("/etc/passwd"), Path("/proc/self/environ")):
        link.symlink_to(target)
        with pytest.raises(UserError, match=r"helper\.txt: is a link that leads out"):
            house.plan(function=folder)
        link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"helper\.txt: is a link to a directory"):
        house.plan(function=folder)


def test_a_link_within_a_source_is_the_file(house: Any, tmp_path: Path) -> None:
    """The control: what is refused is where it leads, not that it is one."""
    folder = source(tmp_path / "function")
    (folder / "original.txt").write_text("inside")
    (folder / "helper.txt").symlink_to("original.txt")
    assert house.run(function=folder).result == "inside"
