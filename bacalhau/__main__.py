"""`python -m bacalhau` is `bacalhau`."""

from bacalhau.cli.main import run

run()
