"""Sizes and cores as people write them."""

import pytest

from runtime.quantity import bytes_text, cores_text, parse_bytes, parse_cores
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


@pytest.mark.parametrize(
    ("text", "milli"),
    [("2", 2000), ("0.5", 500), ("1.25", 1250), ("0.001", 1), ("500m", 500), ("0m", 0), ("999999", 999_999_000),
     (" 3 ", 3000)],
)  # fmt: skip
def test_cores(text, milli):
    assert parse_cores(text, where="--limit-total-cpu") == milli


@pytest.mark.parametrize(
    "text", ["", "two", "-1", "+1", "1.", ".5", "0.0001", "1.5m", "500M", "1e3", "2 cores", "1" * 7, "\u00b2"]
)
def test_what_is_no_number_of_cores(text):
    with pytest.raises(UserError, match=r"--limit-total-cpu: .* is not a number of cores; write cores, such as 2"):
        parse_cores(text, where="--limit-total-cpu")


@pytest.mark.parametrize("size", [0, 1, 1023, 1 << 10, 1536, 512 << 20, 1536 << 20, (1 << 30) + 1, 3 << 40])
def test_a_size_reads_back_as_it_was(size):
    assert parse_bytes(bytes_text(size), where="--memory") == size


def test_sizes_and_cores_in_their_largest_unit():
    assert [bytes_text(size) for size in (512 << 20, 2 << 30, 1536 << 10, 7)] == ["512Mb", "2Gb", "1536k", "7"]
    assert [cores_text(milli) for milli in (0, 500, 2000, 2500)] == ["0", "500m", "2", "2500m"]


@pytest.mark.parametrize("milli", [0, 1, 500, 1000, 2500])
def test_cores_read_back_as_they_were(milli):
    assert parse_cores(cores_text(milli), where="--limit-total-cpu") == milli
