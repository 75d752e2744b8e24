import errno
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from network.key_store import load, load_or_create
from storage.errors import UnavailableError, UserError


def test_a_key_is_made_once_and_is_ours_alone(tmp_path):
    path = tmp_path / "keys" / "node.key"
    identity = load_or_create(path)
    assert load_or_create(path).peer == identity.peer == load(path).peer
    assert path.stat().st_size == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_was_read_before_is_read_again(tmp_path):
    path, other = tmp_path / "node.key", tmp_path / "other.key"
    first, second = load_or_create(path), load_or_create(other)
    other.replace(path)
    assert load(path).peer == second.peer != first.peer
    path.chmod(0o644)
    with pytest.raises(UserError, match="open to other users"):
        load(path)


def test_two_keys_differ(tmp_path):
    assert load_or_create(tmp_path / "a").peer != load_or_create(tmp_path / "b").peer


def test_of_many_that_race_one_wins(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        peers = {identity.peer for identity in pool.map(load_or_create, [tmp_path / "node.key"] * 16)}
    assert len(peers) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "node.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "node.key"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(UserError, match="chmod 600"):
        load_or_create(path)


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33])
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path, data):
    path = tmp_path / "node.key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(UserError, match="32 bytes"):
        load_or_create(path)
    assert path.read_bytes() == data


def test_links_and_directories_are_refused(tmp_path):
    load_or_create(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "directory").mkdir()
    for name in ("link", "directory"):
        with pytest.raises(UserError):
            load_or_create(tmp_path / name)


def test_a_place_that_cannot_be_written_is_the_users_fault(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError):
        load_or_create(tmp_path / "file" / "node.key")


def test_a_full_disk_is_nobodys_fault(tmp_path, monkeypatch):
    def full(_from, _to):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("os.link", full)
    with pytest.raises(UnavailableError, match="cannot be written"):
        load_or_create(tmp_path / "keys" / "node.key")
    assert list((tmp_path / "keys").iterdir()) == []
