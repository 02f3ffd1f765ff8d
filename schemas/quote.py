"""Quotes: as a feed delivers them (``md.quotes.raw.v1``), and as consumers get them (``md.quotes.v1``).

Each exists twice, as trades do: the pydantic model is the contract, the msgspec struct its twin for the
hot path (``tests/unit/schemas/test_quote_twins.py`` holds them together).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from pydantic import Field

from schemas.base import EARLIEST_NS, LATEST_NS, Feed, InputModel, Nanos, OutputModel, Provider, Symbol
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


Flag = Literal["crossed", "locked", "one_sided", "stale", "out_of_order"]


class Quote(OutputModel):
    """Best bid and ask at one moment, in one meaning whatever the vendor. What is absent is left out."""

    symbol: Symbol
    ts_event: Nanos
    n: int = Field(
        ge=1,
        description="Grows by 1 from quote to quote of a symbol, whoever sent them. It leaps only after "
        "a position was reset or a state was lost, and a marker says so.",
    )
    provider: Provider
    bid: float | None = Field(
        default=None,
        gt=0,
        le=MAX_PRICE,
        description="Best bid, in quote currency; left out if there is none.",
    )
    bid_size: float | None = Field(
        default=None, ge=0, le=MAX_SIZE, description="Units at the bid (shares, coins), not lots."
    )
    ask: float | None = Field(
        default=None,
        gt=0,
        le=MAX_PRICE,
        description="Best ask, in quote currency; left out if there is none.",
    )
    ask_size: float | None = Field(
        default=None, ge=0, le=MAX_SIZE, description="Units at the ask (shares, coins), not lots."
    )
    feed: Feed = ""
    bid_venue: str = Field(default="", description="Whose bid it is.")
    ask_venue: str = Field(default="", description="Whose ask it is.")
    conditions: str = Field(default="", description="Conditions of the quote, as on the tape.")
    tape: str = Field(default="", description="Listing tape: A, B or C.")
    seq: int = Field(default=0, ge=0, description="Sequence number of the feed; left out if it has none.")
    flags: tuple[Flag, ...] = Field(
        default=(),
        strict=False,
        description="What is odd about it. `crossed`: bid above ask; `locked`: bid equal to ask; "
        "`one_sided`: a side is absent; `stale`: it came more than 5 s after `ts_event`; "
        "`out_of_order`: a later one of the same source came before.",
    )
    ts_recv: Nanos | None = Field(default=None, description="When the feed handler received it.")


class QuoteMarker(OutputModel):
    """Quotes may be missing before this record, of every symbol of its partition."""

    type: Literal["marker"]
    ts_event: Nanos = Field(description="From when on the stream is whole again.")
    reason: str = Field(
        description="As the feed says it; or `position reset`, `state lost`, with an empty `provider`: "
        "of every provider."
    )
    provider: str = Field(default="", description="Whose quotes may be missing; empty: anyone's.")
    feed: Feed = ""
    ts_from: Nanos | None = Field(
        default=None, description="Until when the stream was surely whole; left out if that is not known."
    )


class L1Quote(msgspec.Struct, gc=False, omit_defaults=True):
    """Hot-path twin of `Quote`: made by the fold, encoded to the topics, written to ``quotes_l1``."""

    symbol: str
    ts_event: int
    n: int
    provider: str
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    feed: str = ""
    bid_venue: str = ""
    ask_venue: str = ""
    conditions: str = ""
    tape: str = ""
    seq: int = 0
    flags: tuple[str, ...] = ()
    """See `domain.quote_flags.NAMES`."""
    ts_recv: int | None = None

    @property
    def id(self) -> str:
        """The same for every publication of the quote, on both topics: consumers drop repeats by it."""
        return f"{self.symbol}|{self.n}"


class Marker(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="marker"):
    """Twin of `QuoteMarker`."""

    ts_event: int
    reason: str
    provider: str = ""
    feed: str = ""
    ts_from: int | None = None


encode_quote = msgspec.json.Encoder().encode
"""Of a quote or a marker."""
decode_quote = msgspec.json.Decoder(L1Quote).decode
