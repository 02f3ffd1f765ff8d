"""Which source wins: coverage, then place, then the provider's own bar."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.quote_flags import CROSSED, LOCKED, ONE_SIDED, flags
from domain.rank import MAX_PLACE, coverage_of, place, rank

PLACES = ("polygon", "alpaca", "kraken")
SOURCES = st.tuples(st.sampled_from(["consolidated", "iex", ""]), st.integers(0, MAX_PLACE), st.booleans())


def test_the_order_of_all_sources_of_two_providers():
    best_first = [
        ("consolidated", 2, True),
        ("consolidated", 2, False),
        ("consolidated", 1, True),
        ("consolidated", 1, False),
        ("iex", 2, True),
        ("iex", 2, False),
        ("iex", 1, True),
        ("iex", 1, False),
    ]
    ranks = [rank(coverage, at, official=official) for coverage, at, official in best_first]
    assert ranks == sorted(set(ranks), reverse=True)


@given(SOURCES, SOURCES)
def test_coverage_then_place_then_whose_bar_it_is(one, other):
    def order(source: tuple[str, int, bool]) -> tuple[bool, int, bool]:
        coverage, at, official = source
        return coverage != "iex", at, official

    ranks = [rank(coverage, at, official=official) for coverage, at, official in (one, other)]
    assert (ranks[0] > ranks[1]) == (order(one) > order(other))


def test_a_market_of_its_own_is_no_lesser_than_the_tape():
    for at, official in product((0, 3), (False, True)):
        assert rank("", at, official=official) == rank("consolidated", at, official=official)


def test_every_rank_fits_the_column():
    ranks = [
        rank(coverage, at, official=official)
        for coverage, at, official in product(["consolidated", "iex"], (0, MAX_PLACE, 10**6), (False, True))
    ]
    assert (min(ranks), max(ranks)) == (-16_384, 16_383)
    assert max(rank("iex", 10**6, official=True), -1) == -1, "however long PROVIDER_RANK is"


def test_rows_of_the_release_before_and_of_unnamed_providers_have_the_same_rank():
    assert rank("", 0, official=False) == 0


def test_places():
    assert [place(name, PLACES) for name in (*PLACES, "nobody")] == [3, 2, 1, 0]
    assert place("polygon", ()) == 0


@pytest.mark.parametrize(
    ("feed", "coverage"), [("sip", "consolidated"), ("iex", "iex"), ("", ""), ("tiingo", ""), ("trades", "")]
)
def test_whose_trades_come_by_a_feed(feed, coverage):
    assert coverage_of(feed) == coverage


@pytest.mark.parametrize(
    ("bid", "ask", "found"),
    [
        (1.0, 1.01, 0),
        (1.0, 1.0, LOCKED),
        (1.01, 1.0, CROSSED),
        (None, 1.0, ONE_SIDED),
        (1.0, None, ONE_SIDED),
        (None, None, ONE_SIDED),
        (0.0, 0.01, 0),
    ],
)
def test_what_is_odd_about_a_quote(bid, ask, found):
    assert flags(bid, ask) == found
    assert (CROSSED, LOCKED, ONE_SIDED) == (1, 2, 4), "as in the comment of quotes_l1.flags"
