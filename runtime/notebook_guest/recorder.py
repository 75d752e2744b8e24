"""What the cell that runs puts out, as nbformat has it, within bounds.

Source: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

from typing import Any

Output = dict[str, Any]

MOST_BYTES = 64 << 20
"""Of all outputs of a notebook."""
MOST_OUTPUTS = 5_000
"""Of one cell."""
MOST_ERROR_CHARACTERS = 100_000

_CUT = "\n[output is cut here: {what}]\n"
_LINE_MIMES = ("application/javascript", "image/svg+xml")
"""Written as lists of lines, beside text/*."""


class Recorder:
    """Outputs of one cell after the other."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_outputs: int = MOST_OUTPUTS) -> None:
        self._outputs: list[Output] = []
        self._left = most_bytes
        self._most_outputs = most_outputs
        self._is_cut = False
        self._clears = False
        self._shown: dict[str, list[Output]] = {}

    def begin(self) -> list[Output]:
        """Begin a cell; its outputs are kept in the list that is returned."""
        self._outputs = []
        self._is_cut = self._clears = False
        return self._outputs

    def write(self, name: str, text: str) -> None:
        """Add text that was written to `stdout` or `stderr`; what follows on the same stream is one output."""
        self._clear_now()
        if not text or self._is_cut:
            return
        if not self._fits(text):
            text = ""
        last = self._outputs[-1] if self._outputs else None
        if last is None or last["output_type"] != "stream" or last["name"] != name:
            if not text or not self._has_place():
                return
            last = {"output_type": "stream", "name": name, "text": []}
            self._outputs.append(last)
        last["text"].append(text)

    def show(
        self, data: dict[str, Any], metadata: dict[str, Any], *, display_id: str | None = None, count: int | None = None
    ) -> None:
        """Add something that was displayed, or with a count the value of the cell. data: media type -> content."""
        self._clear_now()
        if self._is_cut or not self._fits(*data.values()) or not self._has_place():
            return
        output: Output = {"output_type": "display_data", "data": data, "metadata": metadata}
        if count is not None:
            output |= {"output_type": "execute_result", "execution_count": count}
        if display_id is not None:
            self._shown.setdefault(display_id, []).append(output)
        self._outputs.append(output)

    def update(self, display_id: str, data: dict[str, Any], metadata: dict[str, Any]) -> bool:
        """Replace what was displayed under a name, in this cell or an earlier one; tell whether there is any."""
        shown = self._shown.get(display_id, [])
        if shown and self._fits(*data.values()):
            for output in shown:
                output |= {"data": data, "metadata": metadata}
        return bool(shown)

    def fail(self, name: str, value: str, traceback: str) -> None:
        """Add the error that ended the cell; it is kept whatever came before."""
        self._clears = False
        lines = _shortened(traceback).splitlines()
        self._outputs.append({"output_type": "error", "ename": name, "evalue": _shortened(value), "traceback": lines})

    def clear(self, *, wait: bool) -> None:
        """Forget what the cell has put out, at once or when it puts out more."""
        self._clears = True
        if not wait:
            self._clear_now()

    def _clear_now(self) -> None:
        if self._clears:
            self._outputs.clear()
            self._clears = False

    def _fits(self, *contents: Any) -> bool:
        """Take room for contents; say so once where there is none."""
        size = sum(_size(content) for content in contents)
        if size > self._left:
            self._cut(f"all outputs of a notebook have at most {MOST_BYTES >> 20} MiB")
            return False
        self._left -= size
        return True

    def _has_place(self) -> bool:
        if len(self._outputs) < self._most_outputs:
            return True
        self._cut(f"a cell has at most {self._most_outputs} outputs")
        return False

    def _cut(self, what: str) -> None:
        if not self._is_cut:
            self._is_cut = True
            self._outputs.append({"output_type": "stream", "name": "stderr", "text": [_CUT.format(what=what)]})


def written(output: Output) -> Output:
    """Return an output as it is written into a file: texts as lists of lines."""
    if output["output_type"] == "stream":
        return {**output, "text": "".join(output["text"]).splitlines(keepends=True)}
    if "data" not in output:
        return output
    return {**output, "data": {mime: _lines(mime, content) for mime, content in output["data"].items()}}


def _lines(mime: str, content: Any) -> Any:
    is_text = isinstance(content, str) and (mime.startswith("text/") or mime in _LINE_MIMES)
    return content.splitlines(keepends=True) if is_text else content


def _size(content: Any) -> int:
    """Return about how many bytes a content takes in a file; of JSON, the texts in it, and a little for all else."""
    if isinstance(content, str):
        return len(content) if content.isascii() else len(content.encode("utf-8", "replace"))
    if isinstance(content, dict):
        return sum(_size(key) + _size(value) + 4 for key, value in content.items())
    if isinstance(content, (list, tuple)):
        return sum(_size(value) + 2 for value in content)
    return 8


def _shortened(text: str) -> str:
    if len(text) <= MOST_ERROR_CHARACTERS:
        return text
    half = MOST_ERROR_CHARACTERS // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters are left out]\n{text[-half:]}"
