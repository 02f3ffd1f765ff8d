"""Bars beside other words on the same bars: tolerances, who counts, and how much is too much."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.reconcile import (
    FIELDS,
    MIN_BARS,
    Bars,
    Comparison,
    Field,
    Voice,
    Witness,
    agrees,
    compare,
    price_agrees,
    split_between,
    together,
    volume_agrees,
)

MINUTE = 60_000_000_000
DAY = (0, 1_000 * MINUTE)


class Bar(msgspec.Struct, frozen=True):
    """A bar of round numbers."""

    open: float = 100.0
    high: float = 101.0
    low: float = 99.0
    close: float = 100.5
    volume: float = 1_000.0
    trade_count: int | None = 8


def bars(n: int = 20, **changes: float) -> dict[int, Bar]:
    return {i * MINUTE: Bar(**changes) for i in range(n)}  # type: ignore[arg-type]


def times(by: float, some: Mapping[int, Bar], volume: float = 1.0) -> dict[int, Bar]:
    return {
        ts: Bar(bar.open * by, bar.high * by, bar.low * by, bar.close * by, bar.volume * volume)
        for ts, bar in some.items()
    }


def words(*said: Bars, voice: Voice = "peer") -> list[Witness]:
    return [Witness(f"w{n}", voice, some, DAY) for n, some in enumerate(said)]


#: authorities are rare
VOICES: tuple[Voice, ...] = ("peer", "peer", "own", "authority")
prices = st.floats(0.0001, 100_000)
some_bars = st.dictionaries(
    st.integers(0, 12).map(lambda n: n * MINUTE),
    st.builds(
        Bar,
        open=st.sampled_from([100.0, 100.05, 102.0]),
        close=st.sampled_from([100.0, 103.0]),
        volume=st.sampled_from([0.0, 50.0, 1_000.0, 1_020.0, 5_000.0]),
        trade_count=st.sampled_from([None, 1, 8]),
    ),
    max_size=12,
)
witnesses = st.lists(
    st.tuples(st.sampled_from(VOICES), some_bars, st.integers(0, 13)),
    max_size=4,
).map(lambda given: [Witness(f"w{n}", v, b, (0, end * MINUTE)) for n, (v, b, end) in enumerate(given)])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (100.0, 100.1, True),
        (100.0, 100.11, False),
        (1.0, 1.01, True),
        (1.0, 1.0101, False),
        (0.2, 0.21, True),
        (5_000.0, 5_005.0, True),
        (5_000.0, 5_005.1, False),
    ],
)
def test_prices_agree_within_a_thousandth_or_a_cent(one: float, other: float, same: bool) -> None:
    assert price_agrees(one, other) is same


@pytest.mark.parametrize(
    ("one", "other", "counts", "same"),
    [
        (1_000, 950, (1, 1), True),
        (1_000, 949, (1, 1), False),
        # fractions cut off or raised to one: less than a share for each trade
        (0.2, 20, (20, 20), True),
        (0.2, 20.3, (20, 20), False),
        (100, 112, (12, None), True),
        (100, 110, (None, None), True),
        (100, 111, (None, None), False),
        # a count that is nonsense excuses nothing
        (1_000, 30, (1_000_000, 9), False),
        (0, 0, (0, 0), True),
    ],
)
def test_volumes_agree_within_a_twentieth_or_a_share_a_trade(
    one: float, other: float, counts: tuple[int | None, int | None], same: bool
) -> None:
    assert (
        volume_agrees(Bar(volume=one, trade_count=counts[0]), Bar(volume=other, trade_count=counts[1]))
        is same
    )


@given(prices, prices)
def test_agreement_is_mutual(one: float, other: float) -> None:
    assert price_agrees(one, other) == price_agrees(other, one)
    assert price_agrees(one, one)
    a, b = Bar(volume=one, trade_count=None), Bar(volume=other, trade_count=7)
    for name in ("open", "volume"):
        assert agrees(name, a, b) == agrees(name, b, a)


@given(some_bars, witnesses, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 13)), max_size=3))
def test_shares_are_shares_whatever_is_said(
    served: dict[int, Bar], said: list[Witness], holes: list[tuple[int, int]]
) -> None:
    spans = [(start * MINUTE, end * MINUTE) for start, end in holes]
    seen = compare(served, spans, said)
    assert 0 <= seen.wrong <= seen.judged <= seen.bars
    assert set(seen.ratios) == set(FIELDS)
    assert all(0 <= ratio <= 1 for ratio in seen.ratios.values())
    assert seen.incompleteness is None or 0 <= seen.incompleteness <= 1
    assert seen.wrong <= sum(seen.disagreeing.values())
    assert (seen.example is not None) == bool(seen.disagreeing)
    assert seen.example is None or seen.example.proved == (seen.wrong > 0)
    assert not (seen.indicts and seen.doubtful)
    # in whatever order they are heard
    for other in list(permutations(said))[:6]:
        again = compare(served, spans, other)
        assert (again.bars, again.judged, again.wrong) == (seen.bars, seen.judged, seen.wrong)
        assert again.disagreeing == seen.disagreeing


@given(some_bars, st.integers(0, 3), st.sampled_from(["peer", "own", "authority"]))
def test_nothing_is_wrong_with_what_all_say(served: dict[int, Bar], n: int, voice: Voice) -> None:
    seen = compare(served, [DAY], words(*[served] * n, voice=voice))
    assert (seen.wrong, dict(seen.disagreeing)) == (0, {})
    assert seen.bars == (len(served) if n else 0)


@given(some_bars, some_bars)
def test_two_that_disagree_do_so_of_each_other(one: dict[int, Bar], other: dict[int, Bar]) -> None:
    """With one authority it is the same whoever is judged; missing to one is extra to the other."""
    there, back = (
        compare(a, [DAY], words(b, voice="authority")).disagreeing for a, b in ((one, other), (other, one))
    )
    mirrored: dict[Field, Field] = {"missing": "extra", "extra": "missing"}
    assert there == {mirrored.get(name, name): count for name, count in back.items()}


def test_two_that_agree_prove_it() -> None:
    seen = compare(times(1.01, bars()), [], words(bars(), times(1.0005, bars())))
    assert (seen.bars, seen.judged, seen.wrong) == (20, 20, 20)
    assert seen.incompleteness == 1.0
    assert seen.indicts
    assert seen.ratios == dict.fromkeys(FIELDS, 0.0) | dict.fromkeys(("open", "high", "low", "close"), 1.0)
    example = seen.example
    assert example is not None
    assert (example.field, example.ts, example.served, example.said) == ("open", 0, 101.0, 100.0)
    assert (example.by, example.proved) == (("w0", "w1"), True)


@pytest.mark.parametrize(
    ("said", "judged"),
    [
        ([bars()], 0),
        # not the same thing: perhaps both are wrong
        ([bars(), times(0.95, bars())], 20),
        # one confirms it
        ([bars(), bars(), times(1.01, bars())], 20),
    ],
    ids=["one", "two that disagree", "one confirms"],
)
def test_less_proves_nothing(said: Sequence[Bars], judged: int) -> None:
    seen = compare(times(1.01, bars()), [], words(*said))
    assert (seen.bars, seen.judged, seen.wrong) == (20, judged, 0)
    assert seen.incompleteness == (0.0 if judged else None)
    assert not seen.indicts
    assert seen.doubtful == (len(said) < 3)
    assert seen.ratios["close"] == (1.0 if len(said) < 3 else 0.0)


def test_an_authority_counts_alone_for_and_against() -> None:
    wrong = times(1.01, bars())
    assert compare(wrong, [], words(bars(), voice="authority")).wrong == 20
    # against two that agree, and against its own later word
    against = [*words(bars(), bars()), *words(bars(), voice="own")]
    assert compare(wrong, [], against).wrong == 20
    assert compare(wrong, [], [*against, *words(wrong, voice="authority")]).wrong == 0
    # of two authorities one that confirms is enough
    assert compare(wrong, [], words(bars(), wrong, voice="authority")).wrong == 0


def test_its_own_later_word_counts_against_it_and_not_for_it() -> None:
    wrong = times(1.01, bars())
    assert compare(wrong, [], words(bars(), voice="own")).incompleteness == 1.0
    assert compare(wrong, [], [*words(wrong, voice="own"), *words(bars(), bars())]).incompleteness == 1.0
    # it contradicts itself, though others confirm what it said first
    assert compare(bars(), [], [*words(wrong, voice="own"), *words(bars(), bars())]).incompleteness == 1.0


def test_a_bar_is_missing_where_it_was_asked_for_and_all_others_have_it() -> None:
    served = {ts: bar for ts, bar in bars(30).items() if ts % (3 * MINUTE)}
    whole = words(bars(30), bars(30))
    assert compare(served, [], whole).ratios["missing"] == 0.0
    seen = compare(served, [DAY], whole)
    assert (seen.bars, seen.wrong) == (30, 10)
    assert seen.ratios["missing"] == pytest.approx(1 / 3)
    assert seen.incompleteness == pytest.approx(1 / 3)
    assert seen.example is not None
    assert (seen.example.served, seen.example.said) == (None, 1_000.0)
    # somebody else lacks it too
    assert compare(served, [DAY], words(bars(30), served)).wrong == 0
    # of where it was not asked, a witness says nothing
    short = [Witness("w0", "peer", bars(15), (0, 15 * MINUTE)), *words(bars(30))]
    assert compare(served, [DAY], short).wrong == 5
    # a round lot or more: of odd lots alone not every rule makes a bar
    assert compare(served, [DAY], words(bars(30, volume=99), bars(30))).ratios["missing"] == 0.0
    assert compare(served, [DAY], words(bars(30, volume=100), bars(30))).wrong >= 10


def test_a_bar_that_nobody_else_has_is_extra() -> None:
    even = {ts: bar for ts, bar in bars(40).items() if not ts % (2 * MINUTE)}
    seen = compare(bars(40), [], words(even, even))
    assert (seen.wrong, seen.ratios["extra"]) == (20, 0.5)
    assert seen.example is not None
    assert (seen.example.served, seen.example.said) == (1_000.0, None)
    assert compare(bars(40), [], words(even)).wrong == 0
    assert compare(bars(40), [], words(even, bars(40))).ratios["extra"] == 0.0
    assert compare(bars(40, volume=99), [], words(even, even)).ratios["extra"] == 0.0


@pytest.mark.parametrize(
    ("wrong", "of", "share"),
    [
        (6, 60, 0.0),
        (7, 70, 0.1),
        (7, 71, 0.0),
        (3, 6, 0.0),
        (4, 8, 0.5),
        (4, 9, 0.0),
        (4, 4, None),
        (5, MIN_BARS, 1.0),
        (0, MIN_BARS, 0.0),
    ],
)
def test_a_few_bars_or_a_small_share_are_explained_by_rules(wrong: int, of: int, share: float | None) -> None:
    served = bars(of - wrong) | {(1_000 - n) * MINUTE: Bar(high=130.0) for n in range(1, wrong + 1)}
    official = bars(of - wrong) | {(1_000 - n) * MINUTE: Bar() for n in range(1, wrong + 1)}
    seen = compare(served, [], words(official, official))
    assert (seen.wrong, seen.judged) == (wrong, of)
    assert seen.incompleteness == share
    assert seen.indicts == bool(share)
    assert compare(served, [], words(official)).doubtful == bool(share)


def test_each_field_has_the_share_that_it_was_given() -> None:
    """Against official bars: one exact, one with another rule for a fifth of closes, one a minute late."""
    draw = random.Random(7)
    price = 100.0
    official: dict[int, Bar] = {}
    for n in range(400):
        start, price = price, price * math.exp(draw.gauss(0, 0.004))
        top, bottom = max(start, price) * 1.002, min(start, price) * 0.998
        official[n * MINUTE] = Bar(start, top, bottom, price, 1_000 + 9_000 * draw.random())
    other_rule = {
        ts: msgspec.structs.replace(bar, close=bar.close * 1.002) if n % 5 == 0 else bar
        for n, (ts, bar) in enumerate(official.items())
    }
    late = {ts + MINUTE: bar for ts, bar in official.items()}
    seen = [
        compare(some, [DAY], words(official, voice="authority"))
        for some in (dict(official), other_rule, late)
    ]
    assert [one.ratios["close"] for one in seen] == [0.0, 0.2, pytest.approx(0.8, abs=0.1)]
    assert seen[1].ratios["open"] == 0.0
    assert seen[2].ratios["volume"] > 0.8
    exact, other, shifted = (one.incompleteness for one in seen)
    assert exact == 0.0
    assert other == 0.2
    assert shifted is not None
    assert shifted > 0.9


def test_a_split_that_one_side_does_not_know_yet_is_recognised() -> None:
    one = bars() | {50 * MINUTE: Bar(40.0, 41.0, 39.5, 40.0, 300.0)}
    assert split_between(times(4.0, one, 0.25), one) == pytest.approx(4.0)
    assert split_between(times(0.2, one, 5.0), one) == pytest.approx(0.2)
    for by, volume in ((1.01, 1.0), (1.01, 1 / 1.01), (100.0, 1.0), (4.0, 4.0)):
        assert split_between(times(by, one, volume), one) is None
    assert split_between(one, one) is None
    assert split_between({}, one) is None
    # one bar that does not fit: something else is wrong
    unfit = times(4.0, one, 0.25) | {0: Bar(high=130.0)}
    assert split_between(unfit, one) is None


def test_several_count_as_one() -> None:
    wrong = compare(times(1.01, bars(4)), [], words(bars(4), bars(4)))
    doubted = compare(times(1.01, bars(6)), [], words(bars(6)))
    assert wrong.incompleteness is None
    both = together([doubted, wrong, wrong])
    assert (both.bars, both.judged, both.wrong) == (14, 8, 8)
    assert both.disagreeing["close"] == 14
    assert both.incompleteness == 1.0
    assert both.example == wrong.example
    assert together([]) == Comparison()
