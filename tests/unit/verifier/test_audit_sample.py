import hashlib
from fractions import Fraction

import pytest

from storage.cid import RAW, make_cid
from storage.errors import UserError
from verifier.audit_sample import Sample, chance_of_missing, parse_part, parse_seed

RECORDS = [make_cid(RAW, b"record %d" % number) for number in range(1000)]
SUBJECT = make_cid(RAW, b"subject")


def chosen(part, seed=bytes(32), subject=SUBJECT, records=RECORDS):
    return Sample(part=parse_part(part), seed=seed).choose(records, subject)


def test_the_choice_is_the_one_that_is_written_down():
    def rank(record):
        return hashlib.sha256(b"bacalhau-audit-sample/1\0" + bytes(32) + SUBJECT + record).digest()

    assert chosen("5%") == set(sorted(RECORDS, key=rank)[:50])


def test_it_is_the_same_in_any_order_and_for_records_that_come_twice():
    assert chosen("5%", records=[*reversed(RECORDS), *RECORDS[:500]]) == chosen("5%")


def test_seed_and_subject_each_change_it():
    other = make_cid(RAW, b"other")
    assert len({chosen("5%"), chosen("5%", seed=bytes(31) + b"\1"), chosen("5%", subject=other)}) == 3


def test_a_larger_sample_holds_the_smaller_one():
    assert chosen("1%") < chosen("5%") < chosen("100%") == set(RECORDS)


@pytest.mark.parametrize(("part", "of", "number"), [("5%", 1000, 50), ("5%", 1, 1), ("0.1%", 999, 1), ("5%", 0, 0)])
def test_there_is_at_least_one_where_there_is_any(part, of, number):
    assert len(chosen(part, records=RECORDS[:of])) == number


def test_parts_are_read_exactly():
    assert parse_part("0.1%") == Fraction(1, 1000)


@pytest.mark.parametrize("text", ["0%", "100.1%", "5", "-5%", "5 %", "\u0665%", "1e1%", "", "0.0000001%"])
def test_other_parts_are_refused(text):
    with pytest.raises(UserError):
        parse_part(text)


@pytest.mark.parametrize("text", ["", "00", "G" * 64, "A" * 64, "0" * 65])
def test_other_seeds_are_refused(text):
    with pytest.raises(UserError):
        parse_seed(text)


def test_the_chance_of_missing_all_bad_ones_is_the_hypergeometric_one():
    assert chance_of_missing(1, 4, 1) == 0.75
    assert chance_of_missing(2, 4, 1) == pytest.approx(0.5)
    assert chance_of_missing(2, 4, 2) == pytest.approx(1 / 6)
    assert chance_of_missing(4, 4, 1) == 0.0
