"""When poison is too much: the meter against a plain model of its rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.dlq_limit import DlqLimit, PoisonMeter

PROPERTY = settings(max_examples=300, deadline=None)
SMALL = DlqLimit(max_ratio=0.2, window=20, max_consecutive=6)
#: True: poison
RECORDS = st.lists(st.sampled_from((False, False, False, True)) | st.booleans(), max_size=120)


def meter_says(limit: DlqLimit, records: list[bool], cuts: list[int]) -> bool:
    meter, exceeded, begin = PoisonMeter(limit), False, 0
    for end in sorted({*(cut for cut in cuts if cut < len(records)), len(records)}):
        poison = [i for i, bad in enumerate(records[begin:end]) if bad]
        exceeded |= meter.exceeded(end - begin, poison) is not None
        begin = end
    return exceeded


def model_says(limit: DlqLimit, records: list[bool]) -> bool:
    """Judge at every poison record, by counting."""
    for at, bad in enumerate(records):
        seen = records[: at + 1]
        run = next((i for i, b in enumerate(reversed(seen)) if not b), len(seen))
        share = sum(seen[-limit.window :]) / limit.window
        if bad and (run >= limit.max_consecutive or (len(seen) >= limit.window and share > limit.max_ratio)):
            return True
    return False


@PROPERTY
@given(RECORDS, st.lists(st.integers(0, 120), max_size=6))
def test_counts_as_the_rule_says_whatever_the_chunks(records: list[bool], cuts: list[int]) -> None:
    assert meter_says(SMALL, records, cuts) == model_says(SMALL, records)


def test_a_fifth_of_the_last_thousand_is_allowed_and_one_more_is_not() -> None:
    every_fifth = [i % 5 == 0 for i in range(3_000)]
    assert not meter_says(DlqLimit(), every_fifth, [])
    every_fifth[2_001] = True
    assert meter_says(DlqLimit(), every_fifth, [])


def test_the_share_is_not_judged_before_a_thousand_were_seen() -> None:
    half = [i % 2 == 0 for i in range(999)]
    assert not meter_says(DlqLimit(), half, [])
    assert meter_says(DlqLimit(), [*half, True], [])


@pytest.mark.parametrize(("run", "exceeded"), [(499, False), (500, True)])
def test_a_run_counts_across_chunks(run: int, exceeded: bool) -> None:
    records = [False, *[True] * run, False]
    assert meter_says(DlqLimit(max_ratio=1.0), records, [100, 200, 201, 333]) is exceeded


def test_a_good_chunk_ends_a_run() -> None:
    meter = PoisonMeter(SMALL)
    assert meter.exceeded(5, range(5)) is None
    assert meter.exceeded(1, ()) is None
    assert meter.exceeded(5, range(5)) is None


def test_says_which_limit() -> None:
    assert PoisonMeter(DlqLimit()).exceeded(500, range(500)) == "500 poison records in a row"
    said = PoisonMeter(DlqLimit()).exceeded(1_000, range(0, 1_000, 3))
    assert said == "334 of the last 1000 records are poison"


def test_a_limit_of_all_never_stops_for_the_share() -> None:
    assert not meter_says(DlqLimit(max_ratio=1.0, max_consecutive=5_001), [True] * 5_000, [])
