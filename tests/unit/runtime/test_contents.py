"""What -i and -v may name."""

import pytest

from runtime.content_import import Content, ContentImporter
from runtime.contents import (
    check_not_around,
    check_not_empty,
    find,
    ipfs_url,
    is_directory,
    locate,
    typed_cid,
)
from runtime.url_list import Inside
from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid, parse_cid
from storage.content_fetch import ContentFetcher
from storage.dag_walk import walk
from storage.errors import PeerError, UnavailableError, UserError, VerificationError
from storage.sqlite_pins import check_whole
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds
from storage.url_fetch import UrlFetcher
from storage.url_text import Url
from tests.unit.storage.peers import Gateway
from tests.unit.storage.url_server import Page, UrlServer


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def tree(store):
    importer = Importer(store)
    inner = importer.directory({"a b?": importer.bytes(b"found"), "empty": importer.bytes(b"")})
    return importer.directory({"sub": inner, "link": importer.symlink("sub")}).cid


def importer_into(store, tmp_path, *sources, note=lambda _: None, max_bytes=1 << 24):
    def hold(cid):
        check_whole(store, [cid])

    def progress(_phrase):
        pass

    fetcher = UrlFetcher(
        store=store,
        directory=tmp_path / "urls",
        bounds=Bounds(max_bytes=1 << 20, allow_private=True),
        progress=progress,
        report=lambda *_: None,
        hold=hold,
    )
    content_fetcher = ContentFetcher(
        store=store, sources=lambda: sources, cache_dir=tmp_path, progress=progress, max_bytes=max_bytes
    )
    return ContentImporter(fetcher=fetcher, content_fetcher=content_fetcher, hold=hold, note=note)


def test_a_cid_and_paths_in_it(store, tree):
    text = cid_text(tree)
    reader = UnixfsReader(store)
    file = reader.resolve(tree, "sub/a b?")
    assert locate(text, "-i", store) == tree
    assert locate(f"{text}/sub/a b?", "-i", store) == file
    assert locate(f"ipfs://{text}/sub/a%20b%3F", "-i", store) == file
    assert is_directory(locate(f"{text}/sub", "-v", store), store)
    assert typed_cid(f"ipfs://{text}/sub") == Inside(root=tree, path="sub")
    assert ipfs_url(f"ipfs://{text}/sub/a%20b%3F") == ipfs_url(f"{text}/sub/a b?") == f"ipfs://{text}/sub/a%20b%3F"
    assert ipfs_url(text) == f"ipfs://{text}"
    assert ipfs_url("https://host/x") is None
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
    importer = importer_into(store, tmp_path, note=noted.append)
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


def list_of(tmp_path, *lines):
    (tmp_path / "list").write_text("\n".join(lines))
    return f"@{tmp_path / 'list'}"


def test_a_list_may_name_content_by_cids(store, tree, tmp_path):
    text = cid_text(tree)
    lines = [f"ipfs://{text}/sub/a%20b%3F", f"ipfs://{text}/sub  all/of it", f"ipfs://{text}/sub/empty x"]
    importer = importer_into(store, tmp_path)
    place, seen = find(locate(list_of(tmp_path, *lines), "-i", store), "-i", importer.content_fetcher)
    assert is_directory(place, seen)
    cid = importer.bring(Content(where="-i", path="/inputs", place=place))
    other = Importer(MemoryBlockStore())
    found, empty = other.bytes(b"found"), other.bytes(b"")
    inner = other.directory({"a b?": found, "empty": empty})
    assert cid == other.directory({"a b?": found, "all": other.directory({"of it": inner}), "x": empty}).cid


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone", "'gone' is not there"),
        ("link", "list:2: is a symlink to 'sub'"),
        ("link/a", "is not a directory"),
    ],
)
def test_what_a_line_may_not_lead_to(store, tree, tmp_path, path, said):
    text = list_of(tmp_path, "https://host/never-asked", f"ipfs://{cid_text(tree)}/{path}")
    with pytest.raises(UserError, match=said):
        locate(text, "-i", store)


class Here:
    """A store with nothing in it, and one gateway that has everything."""

    def __init__(self, there, tmp_path):
        self.store = MemoryBlockStore()
        self.gateway = Gateway(there)
        self.noted = []
        self.importer = importer_into(self.store, tmp_path, self.gateway.client(), note=self.noted.append)

    def bring(self, text):
        where = f"-i {text}"
        place, seen = find(locate(text, "-i", self.store), where, self.importer.content_fetcher)
        self.seen = seen
        return self.importer.bring(Content(where=where, path="/inputs", place=place, url=ipfs_url(text)))


@pytest.fixture
def here(store, tmp_path):
    return Here(store, tmp_path)


def test_what_is_not_here_is_located_without_asking_anybody(here, tree):
    text = cid_text(tree)
    assert locate(text, "-i", here.store) == Inside(root=tree, path="")
    assert locate(f"ipfs://{text}/sub/a%20b%3F", "-i", here.store) == Inside(root=tree, path="sub/a b?")
    assert here.gateway.asked == []


def test_of_a_dag_that_is_elsewhere_the_part_that_is_named_is_fetched(here, store, tree):
    inner = UnixfsReader(store).resolve(tree, "sub")
    text = f"ipfs://{cid_text(tree)}/sub"
    assert here.bring(text) == inner
    assert is_directory(inner, here.seen)
    assert dict(walk(here.store, inner)) == dict(walk(store, inner))
    # The way, what stands at its end, and everything below that.
    assert here.gateway.asked == [("raw", cid_text(tree)), ("raw", cid_text(inner)), ("car", cid_text(inner))]
    assert not here.store.has(UnixfsReader(store).resolve(tree, "link"))
    (note,) = here.noted
    assert (note.path, note.origin.url, note.origin.final_url) == ("/inputs", text, "http://gateway.test")
    assert (note.origin.cid, note.origin.sha256, note.origin.headers) == (inner, None, ())
    assert note.origin.size == sum(len(block) for _, block in walk(store, inner))
    # A second time everything is here, and nobody is asked.
    here.gateway.asked.clear()
    assert here.bring(text) == inner
    assert (here.gateway.asked, len(here.noted)) == ([], 1)


def test_what_is_here_in_part_is_made_whole(here, store, tree):
    everything = dict(walk(store, tree))
    here.store.put(tree, everything.pop(tree))
    assert here.bring(cid_text(tree)) == tree
    assert dict(walk(here.store, tree)) == dict(walk(store, tree))
    assert sorted(here.gateway.asked) == sorted(("raw", cid_text(cid)) for cid in everything)


def test_lines_of_a_list_come_from_elsewhere(here, store, tree, tmp_path):
    text = cid_text(tree)
    lines = [f"ipfs://{text}/sub/a%20b%3F found", f"ipfs://{text}/sub sub", f"ipfs://{text}/sub/a%20b%3F again"]
    typed = list_of(tmp_path, *lines)
    assert [line.cid for line in locate(typed, "-i", here.store)] == [None] * 3
    assert here.gateway.asked == []
    cid = here.bring(typed)
    reader = UnixfsReader(store)
    file, inner = reader.resolve(tree, "sub/a b?"), reader.resolve(tree, "sub")
    assert {name: link.cid for name, link in UnixfsReader(here.store).entries(cid)} == {
        "found": file,
        "sub": inner,
        "again": file,
    }
    assert sum(1 for _ in walk(here.store, cid)) == 4
    # What two lines need comes once, and what no line names does not come: the link.
    empty = reader.resolve(tree, "sub/empty")
    assert sorted(cid for _, cid in here.gateway.asked) == sorted(map(cid_text, (tree, inner, file, empty)))
    assert [(note.path, note.origin.url) for note in here.noted] == [
        ("/inputs/found", f"ipfs://{text}/sub/a%20b%3F"),
        ("/inputs/sub", f"ipfs://{text}/sub"),
    ]


def test_a_line_that_leads_to_a_symlink_elsewhere_is_refused(here, tree, tmp_path):
    with pytest.raises(UserError, match="list:1: is a symlink to 'sub'; name what it points to"):
        here.bring(list_of(tmp_path, f"ipfs://{cid_text(tree)}/link"))


@pytest.mark.parametrize("path", ["", "/sub"])
def test_a_line_without_a_source_is_told_before_anything_is_fetched(here, tree, tmp_path, path):
    alone = importer_into(here.store, tmp_path)
    located = locate(list_of(tmp_path, "https://host/x", f"ipfs://{cid_text(tree)}{path} y"), "-i", here.store)
    with pytest.raises(UserError, match="list:2: is not in this store, or not all of it; name a source with --from"):
        find(located, "-i", alone.content_fetcher)


def test_without_a_source_one_is_told_to_name_one(here, store, tree, tmp_path):
    alone = importer_into(here.store, tmp_path)
    text = f"{cid_text(tree)}/sub"
    fix = "name a source with --from, add it with `bacalhau add`, or give the path of a local file"
    with pytest.raises(UserError, match="-i x: is not in this store, or not all of it") as caught:
        find(locate(text, "-i", here.store), "-i x", alone.content_fetcher)
    assert caught.value.fix == fix
    here.store.put(tree, store.get(tree))
    content = Content(where="-i y", path="/inputs", place=locate(cid_text(tree), "-i", here.store))
    with pytest.raises(UserError, match="-i y: is not in this store, or not all of it") as caught:
        alone.bring(content)
    assert caught.value.fix == fix


def test_a_symlink_elsewhere_is_no_input(here, tree):
    with pytest.raises(UserError, match="is a symlink to 'sub'; name what it points to"):
        here.bring(f"{cid_text(tree)}/link")


def test_whose_fault_it_is_that_content_does_not_come(here, tree):
    gone = cid_text(make_cid(RAW, b"gone"))
    with pytest.raises(UnavailableError, match=f"-i {gone}: is not to be had: http://gateway.test: gateway does not"):
        here.bring(gone)
    here.gateway.change = lambda _request, response: response.__class__(200, headers=response.headers, content=b"lie")
    with pytest.raises(PeerError, match=r"http://gateway\.test: sent bytes that are not"):
        here.bring(cid_text(tree))
    assert here.noted == []


def test_content_from_elsewhere_is_bounded(here, store, tree, tmp_path):
    importer = importer_into(here.store, tmp_path, here.gateway.client(), max_bytes=100)
    with pytest.raises(UserError, match="has more than the 100 bytes allowed; raise --url-limit"):
        importer.bring(Content(where="-i x", path="/inputs", place=tree))


def test_a_damaged_block_is_told_as_such_where_nobody_can_give_a_better_one(here, store, tree, tmp_path):
    here.store.put_many((cid, block if cid != tree else b"x" + block[1:]) for cid, block in walk(store, tree))
    with pytest.raises(VerificationError, match="does not match"):
        importer_into(here.store, tmp_path).bring(Content(where="-i x", path="/inputs", place=tree))
    importer_into(here.store, tmp_path, here.gateway.client()).bring(Content(where="-i", path="/inputs", place=tree))
    assert dict(walk(here.store, tree)) == dict(walk(store, tree))


def data(store, node):
    block = dag_cbor.encode(node)
    cid = make_cid(DAG_CBOR, block)
    store.put(cid, block)
    return cid_text(cid)


def test_content_behind_data(here, store, tree, tmp_path):
    record = data(store, {"output": tree, "rule": {"n": 3}})
    file = UnixfsReader(store).resolve(tree, "sub/a b?")
    assert locate(f"{record}/output/sub/a b?", "-i", store) == file
    # From elsewhere: the record, two directories, the file; what else the record links to stays there.
    assert here.bring(f"ipfs://{record}/output/sub/a%20b%3F") == file
    assert [kind for kind, _ in here.gateway.asked] == ["raw"] * 4 + ["car"]
    assert not here.store.has(UnixfsReader(store).resolve(tree, "link"))
    (line,) = locate(list_of(tmp_path, f"ipfs://{record}/output/sub all"), "-i", store)
    assert line.cid == UnixfsReader(store).resolve(tree, "sub")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "is data, not a file or directory; name (one of its links: output|what it links to: CID/NAME)$"),
        ("/rule", "is a map inside the block"),
        ("/gone", "'gone' is not there: .* is a map; it has rule, output"),
    ],
)
def test_data_is_no_input(here, store, tree, path, said):
    record = data(store, {"output": tree, "rule": {"n": 3}})
    with pytest.raises(UserError, match=said):
        locate(record + path, "-v", store)
    with pytest.raises(UserError, match=said):
        here.bring(record + path)
    assert here.noted == []


def test_data_behind_a_line_of_a_list_does_not_come(here, store, tree, tmp_path):
    outer = data(store, {"task": parse_cid(data(store, {"output": tree}))})
    located = locate(list_of(tmp_path, f"ipfs://{outer}/task x"), "-i", here.store)
    with pytest.raises(UserError, match="list:1: is data, not a file or directory"):
        find(located, "-i", here.importer.content_fetcher)
    assert here.gateway.asked == [("raw", outer)]
