import pytest

from runtime.url_list import Inside, read_url_list
from storage.cid import RAW, cid_text, make_cid
from storage.errors import UserError

HASH = "ab" * 32
LEAF = make_cid(RAW, b"leaf")
CID = cid_text(LEAF)


def read(tmp_path, content):
    file = tmp_path / "urls.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_url_list(file, "-i")


def test_a_list(tmp_path):
    text = f"""
    # prices, one file a year
    https://host/2023.csv#sha256={HASH}
    https://host/get?id=7   years/2024.csv
    s3://bucket/a%20b.csv
"""
    found = read(tmp_path, text)
    assert [line.path for line in found] == ["2023.csv", "years/2024.csv", "a b.csv"]
    assert (found[0].url.text, found[0].url.sha256) == ("https://host/2023.csv", HASH)
    assert found[1].where == f"{tmp_path / 'urls.txt'}:4"


def test_content_that_is_named_by_its_cid(tmp_path):
    found = read(tmp_path, f"ipfs://{CID}/sub/a%20b.csv\nIPFS://{CID} all\nipfs://{CID}/d/ x/y")
    assert [(line.path, line.url) for line in found] == [
        ("a b.csv", Inside(root=LEAF, path="sub/a b.csv")),
        ("all", Inside(root=LEAF, path="")),
        ("x/y", Inside(root=LEAF, path="d/")),
    ]
    assert [line.url.url for line in found] == [f"ipfs://{CID}/sub/a%20b.csv", f"ipfs://{CID}", f"ipfs://{CID}/d"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no list of 1 to 10000 URLs"),
        ("# nothing\n", "is no list"),
        ("https://h/x\n" * 10_001, "is no list"),
        (b"\xff", "is not UTF-8 text"),
        ("not a url", "urls.txt:1: 'this' is not a scheme that is read"),
        ("https://h/a\nhttps://g/a", "urls.txt:2: 'a' is also the path of .*urls.txt:1"),
        ("https://h/a d/e\nhttps://h/b d", "'d/e' lies in 'd', which is that of .*urls.txt:2"),
        ("https://h/", "the URL ends in no file name"),
        ("https://h/%2e%2e", r"'\.\.' is no path of a file"),
        ("https://h/a /etc/x", "'/etc/x' is no path of a file"),
        ("https://h/a x/../../y", "is no path of a file"),
        (f"ipfs://{CID}", "urls.txt:1: the URL ends in no file name"),
        ("ipfs://nonsense/x", "urls.txt:1: 'nonsense' is not a CID; write ipfs://CID/path"),
        (f"ipfs://{CID}/x?y", "has no query or fragment"),
        (f"ipfs://{CID}/%ff", "path is not UTF-8"),
        (f"https://h/a\nipfs://{CID} a/b", "'a/b' lies in 'a', which is that of .*urls.txt:1"),
        ("https://h/a " + "x/" * 200 + "y", "too deep"),
    ],
)
def test_what_is_no_list(tmp_path, content, said):
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path, content)
    assert caught.value.fix


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"-i @.*gone: cannot be read: no such file"):
        read_url_list(tmp_path / "gone", "-i")
