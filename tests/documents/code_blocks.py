"""What a document shows: its blocks of code, by what they are, and the commands in them and in its sentences.

Pure. A block is fenced, or indented by four spaces after an empty line. One that begins with a program holds commands,
one a line; one that begins with `$ ` is a transcript, in which what follows a command is what it prints.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

PROGRAMS = frozenset({
    "apt", "apt-get", "bacalhau", "bacalhau-audit", "bash", "brew", "cargo", "cat", "cd", "chmod", "clang", "conda",
    "cp", "curl", "docker", "dockerd", "eval", "export", "git", "go", "ipfs", "jupyter", "kubectl", "ls", "make",
    "mkdir", "mv", "node", "npm", "npx", "pip", "pipx", "podman", "prometheus", "promtool", "python", "python3", "rm",
    "rustc", "scp", "sh", "source", "sqlite3", "ssh", "sudo", "systemctl", "tar", "uv", "wget",
})  # fmt: skip
"""A line that begins with one of these is a command, wherever in a document it stands."""
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S* +")
_FENCE = re.compile(r" *(`{3,}|~{3,})(\S*)")
_HEREDOC = re.compile(r"<<'?(\w+)'?\s*$")
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Command:
    """A line to type."""

    file: str
    line: int
    text: str
    """Without the comment behind it, and without line breaks but those of a here-document."""
    inline: bool = False
    """It stands in a sentence: it names a command rather than calling it."""
    prints: tuple[str, ...] | None = None
    """What the document says that it prints; None if it does not say."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Block:
    """Some lines of code."""

    file: str
    line: int
    """Of its first line, from 1."""
    language: str
    """What the fence says; empty for an indented block."""
    lines: tuple[str, ...]
    """Without the indentation that all of them have."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def kind(self) -> str:
        """`commands`, `python`, `toml`, `yaml`, `mermaid`, or empty: none of these."""
        if begins_with_program(self.lines[0]):
            return "commands"
        if self.language == "mermaid":
            return "mermaid"
        for kind, reads in (("toml", _is_toml), ("python", _is_python), ("yaml", _is_yaml)):
            if self.language in ("", kind) and reads(self.text):
                return kind
        return self.language


def begins_with_program(line: str) -> bool:
    """Tell a command from other text."""
    bare = line.strip().removeprefix("$ ")
    while found := _ASSIGNMENT.match(bare):
        bare = bare[found.end() :]
    return bare.split(" ", 1)[0] in PROGRAMS


def read_blocks(file: str, text: str) -> list[Block]:
    """Return the blocks of a document in their order; commands end at an empty line, and begin at one."""
    return [part for block in _blocks(file, text.split("\n")) for part in _parts(block)]


def _blocks(file: str, lines: list[str]) -> Iterator[Block]:
    at, after_empty = 0, True
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        end = at
        if fence:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == fence[1])
            inside = textwrap.dedent("\n".join(lines[at + 1 : end])).split("\n")
            yield Block(file, at + 2, fence[2], tuple(inside))
        elif after_empty and lines[at].startswith("    "):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            inside = textwrap.dedent("\n".join(lines[at:end])).rstrip().split("\n")
            yield Block(file, at + 1, "", tuple(inside))
            end -= 1
        after_empty = not lines[end].strip()
        at = end + 1


def _parts(block: Block) -> Iterator[Block]:
    if block.language or block.lines[0].startswith("$ "):
        yield block
        return
    begin = 0
    for at in range(1, len(block.lines)):
        of_commands = begins_with_program(block.lines[begin])
        if not block.lines[at - 1] and block.lines[at] and (of_commands or begins_with_program(block.lines[at])):
            yield _cut(block, begin, at)
            begin = at
    yield _cut(block, begin, len(block.lines))


def _cut(block: Block, begin: int, end: int) -> Block:
    lines = list(block.lines[begin:end])
    while not lines[-1]:
        lines.pop()
    return Block(block.file, block.line + begin, block.language, tuple(lines))


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a block that begins with one.

    Raises:
        ValueError: a line is neither a command nor goes on with one; its place is said.
    """
    if block.lines[0].startswith("$ "):
        return list(_transcript(block))
    found: list[Command] = []
    at = 0
    while at < len(block.lines):
        line, number = block.lines[at], block.line + at
        heredoc = _HEREDOC.search(line)
        if not begins_with_program(line):
            raise ValueError(f"{block.file}:{number}: no command, among commands: {line!r}")
        text = line if heredoc else without_comment(line)
        at += 1
        while heredoc and block.lines[at - 1] != heredoc[1]:
            text += f"\n{block.lines[at]}"
            at += 1
        # What is indented goes on: with more of the call, or of what is said about it.
        while not heredoc and at < len(block.lines) and block.lines[at].startswith("  "):
            more = block.lines[at].strip()
            if more.startswith(("[", "-")):
                text = text.removesuffix(" \\") + " " + without_comment(more)
            at += 1
        found += [Command(block.file, number, one) for one in text.split("; ")]
    return found


def _transcript(block: Block) -> Iterator[Command]:
    starts = [at for at, line in enumerate(block.lines) if line.startswith("$ ")]
    for at, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        prints = tuple(line for line in block.lines[at + 1 : end] if line)
        yield Command(block.file, block.line + at, block.lines[at].removeprefix("$ "), prints=prints)


def without_comment(line: str) -> str:
    """Cut off what is said about a command: it stands behind two spaces, or behind ` # `."""
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif line.startswith(("  ", " # "), at):
            return line[:at]
    return line


def named_in_sentences(file: str, text: str) -> list[Command]:
    """Return the commands, of more than the program's name, that stand between backquotes outside of blocks."""
    lines = text.split("\n")
    for block in _blocks(file, list(lines)):
        for number in range(block.line - 1, block.line - 1 + len(block.lines)):
            lines[number] = ""
    lines = ["" if _FENCE.match(line) else line for line in lines]
    found, number = [], 1
    for paragraph in re.split(r"(\n[ ]*\n)", "\n".join(lines)):
        for span in _SPAN.finditer(paragraph):
            said = " ".join(span[1].replace("\\|", "|").split())
            if begins_with_program(said) and " " in said:
                found.append(Command(file, number + paragraph.count("\n", 0, span.start()), said, inline=True))
        number += paragraph.count("\n")
    return found


@dataclass(frozen=True)
class Document:
    """A document, read."""

    file: str
    blocks: list[Block] = field(default_factory=list)
    named: list[Command] = field(default_factory=list)

    @property
    def has_commands(self) -> bool:
        """Also if they cannot be read."""
        return any(block.kind == "commands" for block in self.blocks)

    @property
    def commands(self) -> list[Command]:
        """Those of the blocks, in their order."""
        return [one for block in self.blocks if block.kind == "commands" for one in commands_of(block)]


def read_document(file: str, text: str) -> Document:
    """Read a document; file: as failures name it."""
    return Document(file, read_blocks(file, text), named_in_sentences(file, text))


def _is_python(text: str) -> bool:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    return any(not isinstance(node, ast.AnnAssign) for node in tree.body)


def _is_toml(text: str) -> bool:
    try:
        return bool(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return False


def _is_yaml(text: str) -> bool:
    try:
        return not text.startswith("{") and isinstance(yaml.safe_load(text), dict)
    except yaml.YAMLError:
        return False
