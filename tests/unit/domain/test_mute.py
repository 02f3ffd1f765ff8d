"""Mute is who says nothing while the others do, and a connection on which nothing comes: nobody else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.mute import MuteDetector, Patience, Verdict

#: how often each of fifty symbols speaks: from every second to every four minutes
OFTEN = {f"S{n:02}": max(0.004, 0.99 * 0.89**n) for n in range(50)}
MARKETS = (OFTEN, dict.fromkeys("ABCDEF", 0.99), {"A": 0.95, "B": 0.3, "C": 0.1, "D": 0.02})


class Market:
    """Speaks by chance, a second at a time."""

    def __init__(self, often: dict[str, float], seed: int) -> None:
        self.often = often
        self.detector = MuteDetector()
        self.now = 1_000.0
        self._draw = random.Random(seed)

    def second(self, activity: float = 1.0, mute: Iterable[str] = ()) -> Verdict:
        silent = set(mute)
        self.detector.heard(
            s for s, p in self.often.items() if self._draw.random() < p * activity and s not in silent
        )
        self.now += 1
        return self.detector.verdict(self.now)

    def until(self, told: Callable[[Verdict], object], most: int, mute: Iterable[str]) -> int:
        """Return the seconds until a verdict; fail if there is none."""
        silent = list(mute)
        for seconds in range(1, most + 1):
            if told(self.second(mute=silent)):
                return seconds
        raise AssertionError(f"no verdict within {most} s")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_chance_alone_makes_nobody_suspicious(seed: int) -> None:
    market = Market(OFTEN, seed)
    assert [v for v in (market.second() for _ in range(1_500)) if v != Verdict()] == []


@pytest.mark.parametrize("often", MARKETS, ids=["many", "busy", "few"])
@pytest.mark.parametrize("after", [12, 20, 40, 80, 160, 320])
def test_a_market_that_grows_quiet_makes_no_symbol_suspicious(after: int, often: dict[str, float]) -> None:
    for seed in range(20):
        quiet = random.Random(f"{after} {seed}").uniform(0.03, 0.3)
        market = Market(often, seed)
        for second in range(after + 700):
            verdict = market.second(activity=1.0 if second < after else quiet)
            assert verdict.symbols == (), (seed, quiet, second)
            # a few symbols are a connection that has nobody to be held against
            assert not verdict.connection or quiet < 0.2 or len(often) < 5, (seed, quiet, second)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([0, 5, 10, 15]))
def test_a_symbol_that_falls_silent_is_told_once_and_told_when_it_is_back(seed: int, n: int) -> None:
    symbol = f"S{n:02}"
    market = Market(OFTEN, seed)
    for _ in range(400):
        assert market.second() == Verdict()
    # the likelier it speaks, the sooner it is missed
    most = int(60 / OFTEN[symbol]) + 10
    taken = market.until(lambda v: v.symbols == (symbol,), most, [symbol])
    assert taken >= 5
    for _ in range(300):
        assert market.second(mute=[symbol]) == Verdict()
    while (verdict := market.second()) == Verdict():
        pass
    assert verdict == Verdict(back=(symbol,))
    assert market.second() == Verdict()


def test_a_busy_symbol_is_missed_within_a_quarter_of_a_minute() -> None:
    market = Market(dict.fromkeys("ABCDEF", 0.99), 1)
    for _ in range(60):
        assert market.second() == Verdict()
    assert 5 <= market.until(lambda v: v.symbols == ("A",), 15, ["A"]) <= 15


def test_a_burst_of_one_symbol_does_not_make_the_others_suspicious() -> None:
    market = Market({"A": 0.3, "B": 0.3, "C": 0.3}, 3)
    for _ in range(300):
        market.second()
    for _ in range(10):
        market.detector.heard(["A"] * 10_000)
        assert market.second() == Verdict()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_a_connection_that_falls_silent_is_told_soon(seed: int) -> None:
    market = Market(OFTEN, seed)
    for _ in range(60):
        assert market.second() == Verdict()
    assert market.until(lambda v: v.connection, 8, OFTEN) >= 5


def test_silence_is_in_doubt_before_it_is_judged() -> None:
    market = Market(OFTEN, 5)
    for _ in range(60):
        market.second()
        assert market.detector.doubt == 0
    market.second(mute=OFTEN)
    market.second(mute=OFTEN)
    assert market.detector.doubt > 5
    market.second()
    assert market.detector.doubt == 0


def test_a_thin_connection_is_given_its_time() -> None:
    market = Market({"A": 0.05}, 7)
    for _ in range(1_000):
        assert market.second() == Verdict()
    taken = market.until(lambda v: v.connection, 1_500, ["A"])
    # exp(-23) by chance: 23 / 0.05 seconds, as far as its rate is known
    assert 150 < taken < 1_500


def test_half_of_the_symbols_silent_is_the_connection() -> None:
    market = Market({f"S{n}": 0.95 for n in range(20)}, 9)
    for _ in range(120):
        assert market.second() == Verdict()
    silent = [f"S{n}" for n in range(12)]
    # they are held against a market that seems to have grown quiet: it takes longer than for one alone
    verdicts = [market.second(mute=silent) for _ in range(60)]
    told = next(v for v in verdicts if v != Verdict())
    if told.symbols and not told.connection:  # the first of them may be noticed a second before
        told = next(v for v in verdicts if v.connection)
    assert "of 20 symbols" in told.connection
    assert set(told.symbols) <= set(silent)


def test_nobody_is_missed_before_having_spoken_often_enough() -> None:
    detector = MuteDetector(Patience(known=10))
    for second in range(9):
        detector.heard(["A"])
        assert detector.verdict(second) == Verdict()
    for second in range(9, 1_000):
        assert detector.verdict(second) == Verdict()


def test_a_new_connection_begins_without_a_past() -> None:
    market = Market(OFTEN, 11)
    for _ in range(100):
        market.second()
    market.detector.forget()
    for _ in range(1_000):
        assert market.second(mute=OFTEN) == Verdict()
    assert market.detector.doubt == 0


def test_many_verdicts_in_little_time_are_no_silence() -> None:
    detector, now = MuteDetector(), 0.0
    for _ in range(100):
        now += 1
        detector.heard(["A", "B"])
        detector.verdict(now)
    for _ in range(100):
        now += 0.04  # four seconds in all, however many verdicts
        assert detector.verdict(now) == Verdict()
