"""Sizes as people write them."""

import pytest

from runtime.quantity import parse_bytes
from storage.errors import UserError


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1024", 1024), ("1k", 1024), ("512Mb", 512 << 20), ("512 MiB", 512 << 20), ("2g", 2 << 30),
     ("1Tb", 1 << 40), (" 7B ", 7)],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_bytes(text, where="--memory") == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1.5Gb", "1Pb", "1 2", "Mb", "1" * 16, "1_000"])
def test_what_is_no_size(text):
    with pytest.raises(UserError, match=r"--memory: .* is not a size; write a number with a unit"):
        parse_bytes(text, where="--memory")
