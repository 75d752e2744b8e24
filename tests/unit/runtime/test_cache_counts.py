"""Looks for images are counted once each, by whether the image had to be made; engines pass on what they counted."""

from io import BytesIO
from types import SimpleNamespace

from runtime import image_source
from runtime.cache_counts import HIT, IMAGE, MISS, WHEEL, CacheCounts, KeepsCaches
from runtime.engine_by_kind import EngineByKind
from runtime.image_model import ImageKey
from runtime.image_source import ImageChoice, ImageSource
from runtime.noop_engine import NoopEngine
from storage.cid import RAW, make_cid

KEY = ImageKey(runtime=make_cid(RAW, b"runtime"), lock=None)


class Cache:
    """Makes an image when it is asked for the first time."""

    def __init__(self):
        self.made = set()

    def open_or_make(self, key, make, progress, *, checks):
        if key not in self.made:
            make(BytesIO())
            self.made.add(key)
        return SimpleNamespace(close=lambda: None)


def test_an_image_that_is_made_is_a_miss_and_one_that_is_here_a_hit(monkeypatch):
    monkeypatch.setattr(image_source, "_make", lambda *arguments: {})
    source = ImageSource(cache=Cache())
    choice = ImageChoice(keys=(KEY,), local=frozenset())
    for _ in range(3):
        source.open(choice, 1 << 30, None, print, checks=False)
    assert (source.counts.of(IMAGE, MISS), source.counts.of(IMAGE, HIT)) == (1, 2)
    assert (source.counts.of(WHEEL, MISS), source.counts.of(WHEEL, HIT)) == (0, 0)


def test_an_engine_for_all_kinds_tells_what_the_one_for_python_counted():
    counts = CacheCounts()
    python = SimpleNamespace(caches=counts)
    assert isinstance(python, KeepsCaches)
    assert EngineByKind(python, NoopEngine).caches is counts
    without = EngineByKind(NoopEngine(), NoopEngine)
    assert without.caches.of(IMAGE, HIT) == 0
