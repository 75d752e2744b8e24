"""Reads what a function wrote, as far as it can be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from storage.cid import CID
from storage.unixfs_read import UnixfsReader

MAX_TEXT_BYTES: Final = 64 << 10
"""What is shown of one text, and put into JSON; the whole is in the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The beginning of a file."""

    head: bytes
    """At most MAX_TEXT_BYTES."""
    size: int
    """Bytes of the whole file."""

    @property
    def is_cut(self) -> bool:
        """There is more than `head`."""
        return self.size > len(self.head)

    def text(self) -> str:
        """Return the beginning as text; bytes that are not UTF-8 become U+FFFD, a character cut in two is dropped."""
        text = self.head.decode("utf-8", "replace")
        return text.removesuffix("\N{REPLACEMENT CHARACTER}") if self.is_cut else text

    def exact_text(self) -> str | None:
        """Return the whole file as text, None unless it is UTF-8 and under MAX_TEXT_BYTES."""
        if self.size >= MAX_TEXT_BYTES:
            return None
        try:
            return self.head.decode("utf-8")
        except UnicodeDecodeError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTexts:
    """What a person wants to see of an output."""

    result: Excerpt
    stdout: Excerpt
    stderr: Excerpt


def read_texts(reader: UnixfsReader, output: CID) -> OutputTexts:
    """Read the beginnings of an output's three texts.

    Raises:
        UserError: the directory is no output.
        UnavailableError, VerificationError: as `UnixfsReader`.
    """
    return OutputTexts(
        result=_excerpt(reader, output, "result"),
        stdout=_excerpt(reader, output, "stdout"),
        stderr=_excerpt(reader, output, "stderr"),
    )


def _excerpt(reader: UnixfsReader, output: CID, name: str) -> Excerpt:
    cid = reader.resolve(output, name)
    with reader.open(cid) as stream:
        head = stream.read(MAX_TEXT_BYTES)
    return Excerpt(head=head, size=reader.stat(cid).size)
