import io
import json

import pytest

from storage import dag_cbor
from storage.cid import DAG_CBOR, DAG_PB, cid_text, make_cid, parse_cid


def test_add_prints_the_cid_that_other_implementations_give(desk):
    # ipfs add --cid-version 1 --raw-leaves of "hello\n"
    said = desk("add", desk.file(b"hello\n"))
    assert said.code == 0
    assert said.text == "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am\n"


def test_add_as_json(desk, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"abc")
    said = desk("add", "d", "--json").json
    assert (said["kind"], set(said)) == ("directory", {"cid", "kind", "size", "profile", "pin"})
    assert desk("add", "d/a", "--json").json["size"] == 3


def test_add_tells_how_far_it_is(desk, monkeypatch):
    monkeypatch.setattr("bacalhau.cli.add._STEP_BYTES", 1 << 20)
    mebibyte = bytes(range(256)) * (1 << 12)
    assert "bacalhau: added 2 MiB in 3 blocks\n" in desk("add", desk.file(mebibyte + mebibyte[::-1])).err
    assert desk("add", desk.file(b"small")).err == ""


def test_add_of_nothing_is_a_wrong_call(desk):
    said = desk("add", "nowhere")
    assert said.code == 2
    assert "nowhere" in said.err
    assert said.out == b""


@pytest.mark.parametrize("path", [".", "home", "home/store", "home/store/blocks.sqlite"])
def test_the_store_is_not_added_to_itself(desk, tmp_path, path):
    desk("add", desk.file(b"content"))
    assert (tmp_path / "home" / "store" / "blocks.sqlite").exists()
    said = desk("add", path)
    assert (said.code, said.out) == (2, b"")
    assert "where blocks are kept" in said.err


@pytest.fixture
def tree(desk, tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "b.bin").write_bytes(bytes(range(256)) * 9000)
    (tmp_path / "tree" / "sub" / "a.txt").write_bytes(b"deep")
    (tmp_path / "tree" / "evil\x1b[31m\nname").write_bytes(b"")
    (tmp_path / "tree" / "link").symlink_to("b.bin")
    return desk("add", "tree").text.strip()


def test_cat_gives_the_exact_bytes(desk, tree):
    assert desk("cat", f"{tree}/b.bin").out == bytes(range(256)) * 9000
    assert desk("cat", f"{tree}/sub/a.txt").out == b"deep"
    assert desk("cat", f"/ipfs/{tree}/sub/a.txt").out == b"deep"
    assert desk("cat", f"ipfs://{tree}/sub/a.txt").out == b"deep"


def test_cat_is_cleaned_for_a_terminal(desk, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    cid = desk("add", desk.file(b"\x1b[2J\x1b]0;t\x07ok \xff")).text.strip()
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    desk("cat", cid)
    assert terminal.getvalue() == "ok \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("path", "code", "problem"),
    [("", 2, "file"), ("/sub", 2, "file"), ("/nope", 2, "'nope' is not there"), ("/b.bin/x", 2, "not a directory")],
)
def test_cat_of_what_is_no_file_is_a_wrong_call(desk, tree, path, code, problem):
    said = desk("cat", f"{tree}{path}")
    assert said.code == code
    assert problem in said.err
    assert said.out == b""


def test_what_is_not_here_is_unavailable(desk):
    gone = cid_text(make_cid(DAG_PB, b"gone"))
    for command in ("cat", "ls"):
        said = desk(command, gone)
        assert said.code == 4
        assert gone in said.err


def test_ls_as_json_gives_one_entry_a_line(desk, tree):
    entries = [json.loads(line) for line in desk("ls", tree, "--json").text.splitlines()]
    assert [(one["name"], one["kind"], one["size"]) for one in entries] == [
        ("b.bin", "file", 2304000),
        ("evil\x1b[31m\nname", "file", 0),
        ("link", "symlink", 5),
        ("sub", "directory", None),
    ]
    (deep,) = (json.loads(line) for line in desk("ls", f"{tree}/sub", "--json").text.splitlines())
    assert desk("cat", deep["cid"]).out == b"deep"


def test_ls_shows_strange_names_written_out(desk, tree):
    text = desk("ls", tree).text
    assert len(text.splitlines()) == 4
    assert "evil\\x1b[31m\\nname" in text


def test_ls_of_a_file_shows_the_file(desk, tree):
    said = desk("ls", f"{tree}/sub/a.txt", "--json").json
    assert (said["name"], said["kind"], said["size"]) == ("a.txt", "file", 4)


def test_ls_of_a_record_lists_its_links(desk, tree):
    of = parse_cid(tree)
    inner = dag_cbor.encode({"v": "inner/1"})
    below = make_cid(DAG_CBOR, inner)
    gone = make_cid(DAG_PB, b"gone")
    outer = dag_cbor.encode({"output": of, "receipts": [below, gone], "tier": "verified", "evil\x1b[2J": {"a": of}})
    with desk.store() as store:
        store.put(below, inner)
        store.put(make_cid(DAG_CBOR, outer), outer)
    record = cid_text(make_cid(DAG_CBOR, outer))
    rows = [json.loads(line) for line in desk("ls", record, "--json").text.splitlines()]
    assert sorted((row["name"], row["kind"], row["cid"]) for row in rows) == [
        ("evil\x1b[2J/a", "directory", tree),
        ("output", "directory", tree),
        ("receipts/0", "data", cid_text(below)),
        ("receipts/1", None, cid_text(gone)),
    ]
    assert "\x1b" not in desk("ls", record).text
    assert desk("ls", f"{record}/output").text == desk("ls", tree).text
    said = desk("ls", f"{record}/receipts/0")
    assert (said.code, said.out) == (0, b"")
    assert desk("ls", cid_text(make_cid(DAG_CBOR, b"gone"))).code == 4


def test_a_home_that_cannot_be_used_is_told(desk, tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = desk.file()
    desk.home = type(desk.home)(tmp_path / "file" / "home")
    said = desk("add", path)
    assert said.code == 2
    assert "BACALHAU_DIR" in said.err


def test_a_new_home_is_closed_to_others(desk):
    desk("add", desk.file())
    assert desk.home.root.stat().st_mode & 0o777 == 0o700
