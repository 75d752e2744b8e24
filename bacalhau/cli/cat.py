"""`bacalhau cat`: a file's bytes, as they are; only a terminal gets them cleaned."""

from __future__ import annotations

import codecs
import sys
from typing import BinaryIO, Final

import click

from bacalhau.cli.options import services_of
from bacalhau.exit_codes import ExitCode
from bacalhau.terminal_text import clean

_PIECE_BYTES: Final = 1 << 20


@click.command("cat", short_help="Write the bytes of a file in the store to stdout.")
@click.argument("content", metavar="CID[/path]")
@click.pass_context
def command(ctx: click.Context, /, content: str) -> int:
    """Write a file to stdout. Every block is checked against its CID before it is written.

    A path may begin in data: RECORD/output/result is the result that a record vouches for.
    """
    from bacalhau.targets import split_content
    from storage.ipld_path import check_unixfs, content_at
    from storage.unixfs_read import UnixfsReader

    root, path = split_content(content)
    with services_of(ctx).open_store() as store:
        cid = content_at(store, root, path)
        check_unixfs(store, cid, content)
        with UnixfsReader(store).open(cid) as stream:
            (_show if sys.stdout.isatty() else _copy)(stream)
    return ExitCode.DONE


def _copy(stream: BinaryIO) -> None:
    while piece := stream.read(_PIECE_BYTES):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _show(stream: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while piece := stream.read(_PIECE_BYTES):
        sys.stdout.write(clean(decoder.decode(piece)))
    sys.stdout.write(clean(decoder.decode(b"", final=True)))
    sys.stdout.flush()
