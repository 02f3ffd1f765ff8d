"""A quote that an emulated vendor writes is, on our side of its feed, the quote that it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.market.records import Quote
from tests.quote_wires import Wires

WIRES = Wires(["AAPL"])
FEEDS = [("polygon", "sip"), ("alpaca", "iex"), ("alpaca", "sip"), ("iex", "tiingo")]
#: the last millisecond of 2025-11-02 in New York
LAST_LOTS_MS = 1_762_145_999_999
SIDES = st.tuples(st.integers(1, 10**8).map(lambda cents: cents / 100), st.integers(0, 10**4))
#: before November 2025 sizes are sent in round lots of 100
TIMES = st.integers(1_700_000_040_000, 1_795_000_000_000)


@pytest.mark.parametrize("feed", FEEDS)
@given(bid=st.none() | SIDES, ask=st.none() | SIDES, at_ms=TIMES)
@example(bid=(1.0, 3), ask=(1.01, 4), at_ms=LAST_LOTS_MS)
@example(bid=(1.0, 3), ask=(1.01, 4), at_ms=LAST_LOTS_MS + 1)
def test_shares_prices_and_times_are_those_of_the_market(feed, bid, ask, at_ms):
    (bid_price, bid_lots), (ask_price, ask_lots) = bid or (0.0, 0), ask or (0.0, 0)
    quote = Quote("AAPL", at_ms * 10**6, bid_price, bid_lots * 100, "Q", ask_price, ask_lots * 100, "V", 7)
    raw = json.loads(WIRES.raw(feed, quote, at_ms * 10**6 + 5))
    assert (raw["symbol"], raw["provider"], raw["feed"], raw["ts_event"]) == ("AAPL", *feed, quote.ts_ns)
    assert raw["ts_recv"] == quote.ts_ns + 5
    for side, price, lots in (("bid", bid_price, bid_lots), ("ask", ask_price, ask_lots)):
        assert raw.get(side) == (price or None)
        if price:
            assert raw[f"{side}_size"] == lots * 100


def test_who_has_a_wire():
    others = [("finnhub", "finnhub"), ("kraken", "")]
    assert [feed for feed in (*FEEDS, *others) if feed in WIRES] == FEEDS
