"""What -i and -v may name."""

import pytest

from runtime.contents import (
    Content,
    ContentImporter,
    check_not_around,
    check_not_empty,
    is_directory,
    locate,
    typed_cid,
)
from storage.blocks import MemoryBlockStore
from storage.cid import cid_text
from storage.errors import UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds
from storage.url_fetch import UrlFetcher
from storage.url_text import Url
from tests.unit.storage.url_server import Page, UrlServer


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def tree(store):
    importer = Importer(store)
    inner = importer.directory({"a b?": importer.bytes(b"found"), "empty": importer.bytes(b"")})
    return importer.directory({"sub": inner, "link": importer.symlink("sub")}).cid


def test_a_cid_and_paths_in_it(store, tree):
    text = cid_text(tree)
    reader = UnixfsReader(store)
    file = reader.resolve(tree, "sub/a b?")
    assert locate(text, "-i", store) == tree
    assert locate(f"{text}/sub/a b?", "-i", store) == file
    assert locate(f"ipfs://{text}/sub/a%20b%3F", "-i", store) == file
    assert is_directory(locate(f"{text}/sub", "-v", store), store)
    assert typed_cid(f"ipfs://{text}/sub") == (tree, "sub")
    assert typed_cid("https://host/x") is typed_cid("file.txt") is typed_cid("@list") is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("link", "is a symlink to 'sub'; name what it points to"),
        ("gone", "'gone' is not there"),
        ("link/a", "is not a directory"),
        ("sub/..", r"'\.\.' is not a name"),
    ],
)
def test_what_a_path_in_a_cid_may_not_be(store, tree, path, said):
    with pytest.raises(UserError, match=said):
        locate(f"{cid_text(tree)}/{path}", "-v", store)


def test_an_empty_file_is_no_input(store, tree):
    empty = locate(f"{cid_text(tree)}/sub/empty", "-i", store)
    with pytest.raises(UserError, match="is empty"):
        check_not_empty(empty, "-i x", store)


def test_the_folder_that_blocks_go_to_is_no_input(tmp_path, store):
    home = tmp_path / "sub" / "home"
    (home / "cache").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path)
    for text in (tmp_path, tmp_path / "link", tmp_path / "sub", home):
        with pytest.raises(UserError, match="where blocks are kept"):
            check_not_around(locate(str(text), "-v", store), "-v x", home / "cache")
    (tmp_path / "sub" / "home-2").mkdir()
    check_not_around(locate(str(tmp_path / "sub" / "home-2"), "-v", store), "-v x", home / "cache")


def test_urls_are_only_read(store):
    assert locate("https://host/x", "-i", store) == Url(text="https://host/x")
    assert not is_directory(Url(text="https://host/x"), store)


def test_a_list_becomes_a_directory_and_every_url_is_noted(store, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    noted = []
    fetcher = UrlFetcher(
        store=store,
        directory=tmp_path / "urls",
        bounds=Bounds(max_bytes=1 << 20, allow_private=True),
        progress=lambda _: None,
        report=lambda *_: None,
    )
    importer = ContentImporter(store=store, fetcher=fetcher, progress=lambda _: None, note=noted.append)
    with UrlServer() as server:
        server.pages |= {"/a.csv": Page(body=b"a"), "/b?x": Page(body=b"b" * 100_000)}
        (tmp_path / "list").write_text(f"{server.url}/a.csv\n{server.url}/b?x sub/b.csv\n")
        place = locate(f"@{tmp_path / 'list'}", "-i", store)
        assert is_directory(place, store)
        cid = importer.bring(Content(where="-i", path="/inputs", place=place))
    other = MemoryBlockStore()
    inner = Importer(other).directory({"b.csv": Importer(other).bytes(b"b" * 100_000)})
    assert cid == Importer(other).directory({"a.csv": Importer(other).bytes(b"a"), "sub": inner}).cid
    assert [note.path for note in noted] == ["/inputs/a.csv", "/inputs/sub/b.csv"]
