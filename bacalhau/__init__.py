"""Command line and Python API: the only floor that prints."""

from typing import Final

__version__: Final = "0.1.0"
