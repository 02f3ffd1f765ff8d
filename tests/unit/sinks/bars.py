"""Bars to store."""

from __future__ import annotations

import msgspec

from schemas.candle import Bar

MINUTE_NS = 60_000_000_000
START = 1_700_000_040_000_000_000

_BAR = Bar(
    symbol="AAPL",
    interval="1m",
    ts_event=START,
    open=10.0,
    high=12.0,
    low=9.0,
    close=11.0,
    volume=100.0,
    vwap=10.5,
    trade_count=7,
    provider="polygon",
    feed="",
    rule="all_trades.v1",
    revision=0,
    is_final=True,
)


def bar(**changes: object) -> Bar:
    """Return a good bar with some fields changed."""
    return msgspec.structs.replace(_BAR, **changes)
