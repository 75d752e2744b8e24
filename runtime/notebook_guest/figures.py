"""The backend of Matplotlib: figures are drawn by Agg, and shown as PNG or SVG in the cell that made them.

Loaded by Matplotlib alone, as `module://_notebook.figures`. Pictures carry no date and no version.
Source: https://matplotlib.org/stable/users/explain/figure/writing_a_backend_pyplot_interface.html
"""

from __future__ import annotations

import importlib
import io
import struct
import sys
from typing import Any

from .shell import require_shell

_bases: Any = importlib.import_module("matplotlib.backend_bases")
_agg: Any = importlib.import_module("matplotlib.backends.backend_agg")


class FigureManager(_bases.FigureManagerBase):  # type: ignore[misc]
    """A figure that `plt.show` puts into the cell."""

    @classmethod
    def pyplot_show(cls, *, block: bool | None = None) -> None:  # noqa: ARG003  Matplotlib's signature
        """Show all figures, and close them."""
        show_figures()

    def show(self) -> None:
        """Show this one."""
        show_figure(self.canvas.figure)


class FigureCanvas(_agg.FigureCanvasAgg):  # type: ignore[misc]
    """Agg, with our manager."""

    manager_class = FigureManager


def show_figures() -> None:
    """Show all figures that are open, the oldest first, and close them."""
    open_ones: Any = importlib.import_module("matplotlib._pylab_helpers").Gcf
    for manager in open_ones.get_all_fig_managers():
        show_figure(manager.canvas.figure)
    open_ones.destroy_all()


def show_figure(figure: Any) -> None:
    """Show one figure; one without content is left out."""
    if not (figure.axes or figure.lines):  # as Jupyter has it
        return
    shell = require_shell()
    data, metadata = shell.display_formatter.format(figure)
    shell.recorder.show(data, metadata)


def as_png(figure: Any) -> Any:
    """Return a figure as PNG, cut to its content; twice as fine, with its size, where `retina` is set."""
    formats = require_shell().figure_formats
    if "retina" in formats:
        data = _print(figure, "png", dpi=2 * figure.dpi, metadata={"Software": None})
        width, height = struct.unpack(">II", data[16:24])
        return data, {"width": width // 2, "height": height // 2}
    return _print(figure, "png", dpi=figure.dpi, metadata={"Software": None}) if "png" in formats else None


def as_svg(figure: Any) -> Any:
    """Return a figure as SVG where that is set."""
    if "svg" not in require_shell().figure_formats:
        return None
    with sys.modules["matplotlib"].rc_context({"svg.hashsalt": "bacalhau"}):
        return _print(figure, "svg", dpi=figure.dpi, metadata={"Date": None, "Creator": None}).decode()


def _print(figure: Any, kind: str, **how: Any) -> bytes:
    if figure.canvas is None:
        FigureCanvas(figure)
    file = io.BytesIO()
    colors = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
    figure.canvas.print_figure(file, format=kind, bbox_inches="tight", **colors, **how)
    return file.getvalue()
