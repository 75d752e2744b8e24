"""What a function may leave behind, and what it may try to leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """More output than there may be; refused by the worker with 153, and by the parent where the worker does not.

    That the parent sees it at all shows that the worker's layer was gone.
    """

    name: str
    layer: str
    """What the worker is made to do without."""
    code: str
    """`{}` is how much."""
    refused_from: int
    parent_refuses: int
    problem: str
    """What the parent says."""


EXCESSES: Final = (
    Excess(
        name="entries",
        layer="entries",
        code="for n in range({}): os.mkdir(f'/outputs/{{n}}')",
        refused_from=100_000,  # with /outputs itself one too many
        parent_refuses=110_000,
        problem="too many entries",
    ),
    Excess(
        name="levels",
        layer="depth",
        code="os.makedirs('/outputs' + '/d' * {})",
        refused_from=99,  # below outputs/outputs
        parent_refuses=127,
        problem="more than 128 directories deep",
    ),
    Excess(
        name="bytes",
        layer="meter",
        code="print('x' * {}, flush=True)",
        refused_from=65_530,
        parent_refuses=65_530,
        problem="more than the task's output limit",
    ),
)
OUTPUT_LIMIT: Final = 65_536

LINKS: Final = """
os.makedirs("/outputs/d/e")
for name, target in {
    "absolute": "/etc/passwd", "up": "../../../etc/passwd", "d/up": "../../x", "d/e/near": "../../d",
    "d/loop": "../d/loop", "around": "d/../../../x", "proc": "/proc/self/root", "self": ".",
}.items():
    os.symlink(target, f"/outputs/{name}")
"""
LEFT: Final = ["d", "self"]
"""Of them, at the top: a link that stays inside is content like any other."""
LEFT_BELOW: Final = ["e", "loop"]
LED_OUT: Final = ["absolute", "around", "d", "proc", "self", "up"]
"""What is there when the worker does not look where links lead."""
