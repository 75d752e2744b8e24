"""Reads `@FILE`: a list of URLs that become one directory. Pure but for reading the file.

One line is one file, or, behind an ipfs URL, one directory: the URL and, behind white space, its path in the directory;
without one it is the last name of the URL. `#` begins a comment at the start of a line, as it also begins a checksum at
the end of a URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from storage.cid import CID, cid_text, parse_cid
from storage.errors import UserError, VerificationError
from storage.unixfs_names import MAX_DEPTH, check_name
from storage.url_text import Url, file_name, parse_ipfs_url, parse_url, scheme_of

MAX_LIST_BYTES: Final = 4 << 20
MAX_URLS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Content that is named by a CID, or by a path below one."""

    root: CID
    path: str
    """Names joined by '/'; empty for the root itself."""

    @property
    def url(self) -> str:
        """The same as an ipfs URL."""
        path = self.path.strip("/")
        return f"ipfs://{cid_text(self.root)}{'/' if path else ''}{quote(path)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUrl:
    """One line."""

    path: str
    """In the directory: names joined by '/'."""
    url: Url | Inside
    where: str
    """File and line, for errors."""
    cid: CID | None = None
    """Where an ipfs URL leads to, once that has been found out."""


def read_url_list(file: Path, flag: str) -> tuple[ListedUrl, ...]:
    """Return the lines of a list.

    Raises:
        UserError: it cannot be read, is no list, is too long, or gives two URLs one path.
    """
    where = f"{flag} @{file}"
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_LIST_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise UserError(
            f"cannot be read: {(error.strerror or '').lower()}", where=where, fix="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", where=where, fix="give a file with one URL a line") from error
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if len(content) > MAX_LIST_BYTES or not 0 < len(lines) <= MAX_URLS:
        raise UserError(f"is no list of 1 to {MAX_URLS} URLs", where=where, fix="write one URL a line")
    listed = tuple(_listed(line, f"{file}:{number}") for number, line in lines)
    _check_paths(listed)
    return listed


def _listed(line: str, where: str) -> ListedUrl:
    text, *rest = line.split(maxsplit=1)
    url = _parse(text, where)
    path = rest[0] if rest else _last_name(url)
    try:
        names = [check_name(name) for name in path.split("/")]
    except VerificationError as error:
        problem = f"{path!r} is no path of a file" if path else "the URL ends in no file name"
        raise UserError(problem, where=where, fix="write a path behind the URL, such as: URL data/a.csv") from error
    if len(names) > MAX_DEPTH:
        raise UserError("its path is too deep", where=where, fix=f"use at most {MAX_DEPTH} names")
    return ListedUrl(path=path, url=url, where=where)


def _parse(text: str, where: str) -> Url | Inside:
    if scheme_of(text) != "ipfs":
        return parse_url(text, where=where)
    head, path = parse_ipfs_url(text, where=where)
    try:
        return Inside(root=parse_cid(head), path=path)
    except UserError as error:
        raise UserError(f"{head!r} is {error.problem}", where=where, fix="write ipfs://CID/path") from error


def _last_name(url: Url | Inside) -> str:
    return file_name(url) if isinstance(url, Url) else url.path.rstrip("/").rpartition("/")[2]


def _check_paths(listed: tuple[ListedUrl, ...]) -> None:
    places: dict[str, str] = {}
    for line in listed:
        if line.path in places:
            problem = f"{line.path!r} is also the path of {places[line.path]}"
            raise UserError(problem, where=line.where, fix="write another path behind the URL")
        places[line.path] = line.where
    for line in listed:
        names = line.path.split("/")
        for count in range(1, len(names)):
            parent = "/".join(names[:count])
            if parent in places:
                problem = f"{line.path!r} lies in {parent!r}, which is that of {places[parent]}"
                raise UserError(problem, where=line.where, fix="write another path behind the URL")
