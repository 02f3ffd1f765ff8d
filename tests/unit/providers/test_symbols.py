"""Symbols there and back, for every vendor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.symbols import ALPACA, FINNHUB, POLYGON, TIINGO, Spelling
from schemas.base import SYMBOL
from schemas.errors import NotFound

ALL = (POLYGON, ALPACA, FINNHUB, TIINGO)


@pytest.mark.parametrize(
    ("spelling", "canonical", "spelled"),
    [
        (POLYGON, "BRK.B", "BRK.B"),
        (ALPACA, "BRK.B", "BRK.B"),
        (FINNHUB, "BRK.B", "BRK.B"),
        (TIINGO, "BRK.B", "BRK-B"),
        (POLYGON, "KIM.PRL", "KIMpL"),
        (TIINGO, "KIM.PRL", "KIM-P-L"),
        *((spelling, "AAPL", "AAPL") for spelling in ALL),
    ],
)
def test_known_spellings(spelling: Spelling, canonical: str, spelled: str):
    assert spelling.vendor(canonical) == spelled
    assert spelling.canonical(spelled) == canonical


def test_tiingo_writes_small_letters_on_its_feed():
    assert TIINGO.canonical("brk-b") == "BRK.B"


@pytest.mark.parametrize("spelling", ALL, ids=lambda s: s.provider)
@given(st.from_regex(SYMBOL, fullmatch=True))
def test_a_symbol_comes_back_as_it_went_or_has_no_spelling(spelling: Spelling, symbol: str):
    try:
        spelled = spelling.vendor(symbol)
    except NotFound:
        return
    assert spelling.canonical(spelled) == symbol


@given(st.from_regex(r"[A-Z]{1,5}(\.[A-Z])?", fullmatch=True))
def test_every_ordinary_symbol_has_a_spelling(symbol: str):
    for spelling in ALL:
        assert spelling.canonical(spelling.vendor(symbol)) == symbol
