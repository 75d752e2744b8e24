import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UserError
from storage.url_text import Url, file_name, parse_ipfs_url, parse_url

HASH = "ab" * 32


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://host/x", Url(text="https://host/x")),
        ("HTTP://Host:8080/a?b=c", Url(text="HTTP://Host:8080/a?b=c")),
        (f"https://host/x#sha256={HASH.upper()}", Url(text="https://host/x", sha256=HASH)),
        ("https://host/x#", Url(text="https://host/x")),
        ("s3://bucket/a b/ü", Url(text="s3://bucket/a b/ü")),
        ("https://[2606:4700::1111]/x", Url(text="https://[2606:4700::1111]/x")),
    ],
)
def test_good_urls(text, url):
    assert parse_url(text, where="-i") == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file:///etc/passwd", "'file' is not a scheme that is read"),
        ("ftp://host/x", "'ftp' is not a scheme"),
        ("gopher://host/x", "'gopher' is not a scheme"),
        ("host/x", "'this' is not a scheme"),
        ("https:///x", "it names no host"),
        ("https://host:port/x", "is not a URL"),
        ("https://host:99999/x", "is not a URL"),
        ("https://[::1/x", "is not a URL"),
        ("https://host/\n", "control characters"),
        ("https://host/\x1b[2J", "control characters"),
        ("https://host/" + "x" * 9000, "too long"),
        ("https://me@host/x", "user name or password"),
        ("https://me:word@host/x", "user name or password"),
        ("https://host/x#top", "no checksum"),
        ("https://host/x#sha256=12", "no checksum"),
        ("https://host/x#md5=" + "0" * 32, "no checksum"),
    ],
)
def test_bad_urls(text, said):
    with pytest.raises(UserError, match=said) as caught:
        parse_url(text, where=f"-i {text}")
    assert caught.value.fix
    assert "word" not in caught.value.where


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for candidate in (text, f"https://{text}", f"s3://{text}"):
        try:
            url = parse_url(candidate, where="-i")
        except UserError:
            continue
        assert "#" not in url.text


def test_ipfs_urls():
    assert parse_ipfs_url("ipfs://bafy/a%20b/c%3F", where="-i") == ("bafy", "a b/c?")
    assert parse_ipfs_url("ipfs://bafy", where="-i") == ("bafy", "")
    for text in ("ipfs://bafy/x?y", "ipfs://bafy/x#y", "ipfs://bafy/%ff"):
        with pytest.raises(UserError):
            parse_ipfs_url(text, where="-i")


@pytest.mark.parametrize(
    ("text", "name"),
    [("https://h/a/b.csv", "b.csv"), ("https://h/a%20b?x=/y", "a b"), ("https://h/", ""), ("https://h", ""),
     ("s3://bucket/k", "k"), ("https://h/%2e%2e", "..")],
)  # fmt: skip
def test_file_names(text, name):
    assert file_name(Url(text=text)) == name
