"""Quotes as a feed delivers them: the values of ``md.quotes.raw.v1``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from pydantic import Field

from schemas.base import EARLIEST_NS, LATEST_NS, Feed, InputModel, Nanos, Provider, Symbol
from schemas.trade import MAX_PRICE, MAX_SIZE, TAPE, VENUE

QUOTE_CONDITIONS = r"^[ -~]{0,16}$"


class QuoteTick(InputModel):
    """Best bid and ask at one moment. An absent side is null or left out; 0 means the same."""

    symbol: Symbol
    ts_event: Nanos
    bid: float | None = Field(default=None, ge=0, le=MAX_PRICE, description="Best bid, in quote currency.")
    bid_size: float | None = Field(
        default=None, ge=0, le=MAX_SIZE, description="Units at the bid (shares, coins), not lots."
    )
    ask: float | None = Field(default=None, ge=0, le=MAX_PRICE, description="Best ask, in quote currency.")
    ask_size: float | None = Field(
        default=None, ge=0, le=MAX_SIZE, description="Units at the ask (shares, coins), not lots."
    )
    provider: Provider
    feed: Feed = ""
    bid_venue: str = Field(default="", pattern=VENUE, description="Whose bid it is.")
    ask_venue: str = Field(default="", pattern=VENUE, description="Whose ask it is.")
    conditions: str = Field(
        default="", pattern=QUOTE_CONDITIONS, description="Conditions of the quote, as on the tape."
    )
    tape: str = Field(default="", pattern=TAPE, description="Listing tape: A, B or C.")
    seq: int = Field(default=0, ge=0, le=2**63 - 1, description="Sequence number of the feed, if it has one.")
    ts_recv: Nanos | None = Field(default=None, description="When the feed handler received it.")


_Nanos = Annotated[int, Meta(ge=EARLIEST_NS, lt=LATEST_NS)]
_Price = Annotated[float, Meta(ge=0, le=MAX_PRICE)]
_Size = Annotated[float, Meta(ge=0, le=MAX_SIZE)]


class RawQuote(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """Hot-path twin of `QuoteTick`; character sets are checked a chunk at a time."""

    symbol: Annotated[str, Meta(min_length=1, max_length=32)]
    ts_event: _Nanos
    provider: Annotated[str, Meta(min_length=1, max_length=32)]
    bid: _Price | None = None
    bid_size: _Size | None = None
    ask: _Price | None = None
    ask_size: _Size | None = None
    feed: Annotated[str, Meta(max_length=32)] = ""
    bid_venue: Annotated[str, Meta(max_length=16)] = ""
    ask_venue: Annotated[str, Meta(max_length=16)] = ""
    conditions: Annotated[str, Meta(max_length=16)] = ""
    tape: Annotated[str, Meta(max_length=1)] = ""
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    ts_recv: _Nanos | None = None
