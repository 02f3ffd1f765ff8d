"""Which trades count for what in a bar: rules as data, each with the name that a candle carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TradeRule:
    """One way to make a bar of trades."""

    name: str
    summary: str


#: Every trade opens, closes, sets high and low and counts as volume: right where a venue publishes
#: its own bars of its own trades, as crypto exchanges do. Source: Kraken's OHLC equals it exactly.
ALL_TRADES = TradeRule("all_trades.v1", "every trade counts for everything")

RULES = {rule.name: rule for rule in (ALL_TRADES,)}
