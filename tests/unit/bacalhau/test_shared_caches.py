import pytest

from bacalhau.home import Home
from bacalhau.shared_caches import share_caches
from storage.errors import UnavailableError

CACHES = ("cache", "runtimes", "wheels", "images", "modules")


def test_caches_are_shared_and_nothing_else_is(tmp_path):
    mine, theirs = Home(tmp_path / "mine"), Home(tmp_path / "theirs")
    share_caches(mine, theirs)
    assert sorted(path.name for path in theirs.root.iterdir()) == sorted(CACHES)
    for name in CACHES:
        (mine.root / name / "one").write_text("made by one")
        assert (theirs.root / name / "one").read_text() == "made by one"
    assert (theirs.root.stat().st_mode & 0o777, mine.root.stat().st_mode & 0o777) == (0o700, 0o700)


def test_what_is_there_already_stays(tmp_path):
    mine, theirs = Home(tmp_path / "mine"), Home(tmp_path / "theirs")
    (theirs.root / "images").mkdir(parents=True)
    (theirs.root / "images" / "own").write_text("own")
    share_caches(mine, theirs)
    share_caches(mine, theirs)
    assert not theirs.images_dir.is_symlink()
    assert (theirs.images_dir / "own").read_text() == "own"
    assert theirs.cache_dir.is_symlink()


def test_a_cache_that_cannot_be_made_is_named(tmp_path):
    mine = Home(tmp_path / "mine")
    mine.root.mkdir()
    mine.wheels_dir.write_text("no folder")
    with pytest.raises(UnavailableError, match=f"{mine.wheels_dir}: cannot be made: file exists; make room there"):
        share_caches(mine, Home(tmp_path / "theirs"))
