"""What is free on a disk, as directories on it tell."""

import os
from types import SimpleNamespace

from runtime.disk_usage_client import disks_of, free_bytes


def test_a_quota_of_one_directory_is_not_what_is_free_on_the_disk(tmp_path, monkeypatch):
    """A directory with a project quota tells what is left of that; which of several is asked last decides nothing."""
    (tmp_path / "volume" / "_data").mkdir(parents=True)
    (tmp_path / "layer").mkdir()
    disk, quota = 1 << 40, 288 << 20

    def statvfs(path):
        return SimpleNamespace(f_bavail=quota if "volume" in str(path) else disk, f_frsize=1)

    monkeypatch.setattr(os, "statvfs", statvfs)
    device = tmp_path.stat().st_dev
    volume, layer = str(tmp_path / "volume" / "_data"), str(tmp_path / "layer")
    assert free_bytes(disks_of([volume])) == free_bytes(disks_of([layer, volume])) == {device: disk}
    assert free_bytes(disks_of([str(tmp_path / "absent")])) == {}
