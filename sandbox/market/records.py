"""What happens on the simulated exchange: trades, quotes, and what is later said about trades."""

from __future__ import annotations

from typing import Literal

import msgspec

from sandbox.market.conditions import Sale


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One print as it first went out."""

    symbol: str
    ts_ns: int
    """When it traded, nanoseconds since the epoch, UTC: bars go by it."""
    arrival_ns: int
    """When it was published: the same, except for late prints."""
    price: float
    size: float
    """Shares; may be a fraction."""
    venue: str
    """Letter of the exchange; D is off exchange, V is IEX."""
    sales: tuple[Sale, ...]
    seq: int
    """Grows with publication within a symbol and session."""
    trade_id: int
    """Unique within a symbol and session."""


class Amendment(msgspec.Struct, frozen=True, gc=False):
    """A later word about a trade: it was wrong (correction), or never was (bust)."""

    kind: Literal["correction", "bust"]
    at_ns: int
    original: Trade
    corrected: Trade | None
    """What it should have been; None for a bust. Keeps the time of the original."""


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and offer; 0 for a side that is not there. Sizes in shares."""

    symbol: str
    ts_ns: int
    bid: float
    bid_size: int
    bid_venue: str
    ask: float
    ask_size: int
    ask_venue: str
    seq: int

    @property
    def state(self) -> str:
        """``normal``, ``one_sided``, ``empty``, ``locked``, ``crossed`` or ``zero_size``."""
        if not self.bid and not self.ask:
            return "empty"
        if not self.bid or not self.ask:
            return "one_sided"
        if not self.bid_size or not self.ask_size:
            return "zero_size"
        if self.bid == self.ask:
            return "locked"
        return "crossed" if self.bid > self.ask else "normal"
