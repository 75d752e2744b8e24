"""Plot the columns of a table over its first one."""

import csv
from io import BytesIO, StringIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

OUTPUTS = Path("/outputs")
# Without a salt the SVG's element ids are random; text as text keeps the file small and searchable.
STYLE = {"svg.hashsalt": "bacalhau", "svg.fonttype": "none"}


def main(data, title="", dpi=100):
    """Draw one panel per column, all over the first column.

    data: CSV with a header line; all cells are numbers, an empty one leaves a gap.
    title: stands above the figure.
    dpi: resolution of the PNG in dots per inch, 10 to 600; the figure is 8 inches wide.

    Returns the figure as PNG and writes it to /outputs/figure.svg as well. Neither carries a date or a version.
    Raises ValueError when the input is no such table or `dpi` is out of range.
    """
    if not isinstance(dpi, int) or isinstance(dpi, bool) or not 10 <= dpi <= 600:
        raise ValueError(f"dpi must be an integer from 10 to 600, not {dpi!r}")
    header, columns = read_columns(data)
    png = BytesIO()
    with rc_context(STYLE):
        figure = draw(header, columns, str(title))
        figure.savefig(png, format="png", dpi=dpi, metadata={"Software": None})
        figure.savefig(OUTPUTS / "figure.svg", metadata={"Date": None, "Creator": None})
    return png.getvalue()


def draw(header, columns, title):
    """Draw each column but the first as a line in a panel of its own, without pyplot and so without global state."""
    figure = Figure(figsize=(8, 1 + 2.2 * (len(columns) - 1)), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(len(columns) - 1, sharex=True, squeeze=False)[:, 0]
    for number, (panel, name, values) in enumerate(zip(panels, header[1:], columns[1:], strict=True)):
        panel.plot(columns[0], values, color=f"C{number}", linewidth=1.5)
        panel.set_ylabel(name.replace("_", " "))
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel(header[0].replace("_", " "))
    return figure


def read_columns(data):
    """Read the header and the columns, each a list of floats with NaN for an empty cell."""
    header, *rows = list(csv.reader(StringIO(data.read().decode("utf-8-sig"), newline=""))) or [[]]
    if len(header) < 2 or not rows:
        raise ValueError("the input needs a header line, at least two columns and at least one row")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
    try:
        return header, [[float(cell or "nan") for cell in column] for column in zip(*rows, strict=True)]
    except ValueError as error:
        raise ValueError(f"the input is not a CSV table of numbers: {error}") from None
