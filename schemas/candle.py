"""Candles: the values of ``md.candles.v1`` and the rows of ``candles_intraday``."""

from __future__ import annotations

import msgspec
from pydantic import Field

from schemas.base import Feed, Nanos, OutputModel, Provider, Symbol

INTERVAL = "1m"


class Candle(OutputModel):
    """One bar with its provenance; ``[ts_event, ts_event + interval)``, UTC, labelled by its start."""

    symbol: Symbol
    interval: str = Field(pattern=r"^[1-9][0-9]*[smhd]$", description="Length of the bar, as in `1m`.")
    ts_event: Nanos
    open: float = Field(description="Price of the trade with the lowest `ts_event`.")
    high: float
    low: float
    close: float = Field(description="Price of the trade with the highest `ts_event`.")
    volume: float = Field(description="Sum of sizes, exact at nine decimals.")
    vwap: float = Field(description="Sum of price times size, divided by volume.")
    trade_count: int = Field(ge=1)
    provider: Provider
    feed: Feed
    rule: str = Field(description="Which trades counted for what: a name and its version.")
    revision: int = Field(
        ge=0, description="0 for the first final bar, one more for each late trade; see `is_final`."
    )
    is_final: bool = Field(
        description="False: published by the wall clock while the bar is open; `revision` counts its trades."
    )


class Bar(msgspec.Struct, gc=False, frozen=True):
    """Hot-path twin of `Candle`: made by the fold, encoded to the topic, written to the table."""

    symbol: str
    interval: str
    ts_event: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trade_count: int
    provider: str
    feed: str
    rule: str
    revision: int
    is_final: bool

    @property
    def id(self) -> str:
        """The same for every publication of the same version: consumers drop repeats by it."""
        kind = "r" if self.is_final else "p"
        source = f"{self.provider}.{self.feed}" if self.feed else self.provider
        return f"{self.symbol}|{self.interval}|{self.ts_event}|{source}|{kind}{self.revision}"


encode_bar = msgspec.json.Encoder().encode
