"""docs/protocol.md shows the tables as they are. BACALHAU_UPDATE_EXPECTED=1 writes them anew."""

import os
import re
from pathlib import Path

import pytest

from network import node_task, requester_task
from network.protocol_diagram import diagrams

DOC = Path(__file__).parents[3] / "docs" / "protocol.md"


def mark(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- generated: {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", diagrams())
def test_the_document_is_current(name):
    text = DOC.read_text(encoding="utf-8")
    expected = f"\n{diagrams()[name]}\n\n"
    if os.environ.get("BACALHAU_UPDATE_EXPECTED"):
        DOC.write_text(mark(name).sub(lambda _: expected, text, count=1), encoding="utf-8")
        return
    assert mark(name).findall(text) == [expected]


@pytest.mark.parametrize("table", [requester_task.TRANSITIONS, node_task.TRANSITIONS])
def test_every_cell_leads_somewhere(table):
    assert all(cell.to for cell in table.values())
