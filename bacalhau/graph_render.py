"""The result graph in a terminal: a tree of records, each with what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from bacalhau.graph_answers import Answer
from bacalhau.graph_view import MAX_NAMED, Content, RecordNode, Standing
from bacalhau.render import stderr_console, stdout_console
from bacalhau.terminal_text import visible
from storage.cid import CID, cid_text
from storage.counting import counted
from verifier.graph_reading import VERIFIED

_STYLES: Final = {"verified": "bold green", "tainted": "bold yellow", "disputed": "bold red", "unknown": "bold yellow"}
_MAX_DEPTH: Final = 40
"""Steps that are drawn further in each; a terminal is not wider."""


def print_answer(answer: Answer) -> None:
    """Print the tree on stdout, and what is wrong on stderr."""
    console = stdout_console()
    named = answer.named
    if not answer.found.roots:
        console.print(Text(f"{'' if named.cid is None else cid_text(named.cid)}  {named.kind}: no record here made it"))
        return
    if named.kind not in ("record", "job") and named.cid is not None:
        console.print(Text(f"{cid_text(named.cid)}  {named.kind}, made by"))
    seen: set[CID] = set()
    for root in answer.found.roots:
        for line in _lines(root, answer.found.nodes, seen):
            console.print(line)
    _print_standings(answer)


def _lines(root: CID, nodes: Mapping[CID, RecordNode], seen: set[CID]) -> Iterator[Text]:
    """Yield the lines of one tree; a record that was drawn before is only named."""
    todo = [(root, 0)]
    while todo:
        cid, depth = todo.pop()
        indent = "  " * min(depth, _MAX_DEPTH)
        node = nodes.get(cid)
        if node is None:
            yield Text(f"{indent}{cid_text(cid)}  …")
            continue
        yield _head(node, indent, again=cid in seen)
        if cid in seen:
            continue
        seen.add(cid)
        for text in _details(node):
            yield Text(f"{indent}    {text}")
        todo += [(parent, depth + 1) for parent in reversed(node.parents)]


def _head(node: RecordNode, indent: str, *, again: bool) -> Text:
    if node.row is None:
        return Text.assemble(
            f"{indent}{cid_text(node.cid)}  ", ("not here: nothing is known of it", _STYLES["unknown"])
        )
    word = "disputed" if node.rivals else "verified" if node.row.tier == VERIFIED else "tainted"
    said = node.row.tier if word != "disputed" else "disputed"
    receipts = f", {counted(node.row.receipts, 'receipt')}" if node.row.tier == VERIFIED else ""
    dissent = f", {node.row.dissent} dissenting" if node.row.dissent else ""
    merged = ", merged" if node.row.merged else ""
    back = "  (above)" if again else ""
    return Text.assemble(f"{indent}{cid_text(node.cid)}  ", (said, _STYLES[word]), f"{receipts}{dissent}{merged}{back}")


def _details(node: RecordNode) -> Iterator[str]:
    if node.row is None:
        return
    yield f"output    {cid_text(node.row.output)}"
    yield f"function  {cid_text(node.row.function)}"
    yield f"input     {cid_text(node.row.input)}"
    for content in node.contents:
        yield from _content(content)
    for rival in node.rivals[:MAX_NAMED]:
        yield f"CONTRADICTED by {cid_text(rival)}: the same task, another output"


def _content(content: Content) -> Iterator[str]:
    place = f" {visible(content.path)}" if content.path else ""
    given = f"  from {', '.join(map(cid_text, content.given_by[:MAX_NAMED]))}" if content.given_by else "  raw"
    yield f"  {content.role}{place}  {cid_text(content.cid)}{given}"
    for origin in content.origins:
        yield f"    fetched from {_origin(origin)}"


def _origin(origin: Mapping[str, Any]) -> str:
    at = origin.get("fetched_at")
    when = f" at {visible(at)}" if isinstance(at, str) else ""
    return f"{visible(str(origin.get('url', '?')))}{when}"


def _print_standings(answer: Answer) -> None:
    console = stderr_console()
    for cid, standing in answer.standings.items():
        if standing.word != VERIFIED or standing.dissent_in:
            console.print(Text.assemble(f"{cid_text(cid)}: ", (standing.word, _STYLES[standing.word])))
            _print_reasons(console, standing)
    if answer.found.is_cut:
        console.print("there is more: --limit and --depth show it")


def _print_reasons(console: Console, standing: Standing) -> None:
    for words, cids in (
        ("its task has another output too", standing.disputed_by),
        ("is of the unverified tier", standing.tainted_by),
        ("has receipts that say something else", standing.dissent_in),
        ("is not here", standing.missing),
    ):
        for cid in cids[:MAX_NAMED]:
            console.print(f"  {cid_text(cid)} {words}")
        if len(cids) > MAX_NAMED:
            console.print(f"  and {len(cids) - MAX_NAMED} more")
    if standing.is_cut:
        console.print(f"  only the nearest {counted(standing.looked_at, 'ancestor')} were looked at")
