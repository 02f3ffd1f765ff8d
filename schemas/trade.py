"""Trades and clock records: the values of ``md.trades.v1``.

Each exists twice. The pydantic model is the contract: it makes the JSON Schema and the reasons in the
dead-letter topic. The msgspec struct is its twin for the hot path, with the same fields and bounds
(``tests/unit/schemas/test_twins.py`` holds them together).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from pydantic import Field

from schemas.base import EARLIEST_NS, LATEST_NS, Feed, InputModel, Nanos, Provider, Symbol

MAX_PRICE = 1e12
MAX_SIZE = 1e12
#: volume sums are exact at nine decimals, so that is the smallest size there is
MIN_SIZE = 1e-9

VENUE = r"^[A-Za-z0-9._-]{0,16}$"
CONDITIONS = r"^[ -~]{0,16}$"
TAPE = r"^[A-Z]?$"
TRADE_ID = r"^[!-~]{0,64}$"


class TradeTick(InputModel):
    """One trade, as a feed or anyone else produces it."""

    symbol: Symbol
    ts_event: Nanos
    price: float = Field(gt=0, le=MAX_PRICE, description="Price of one unit in quote currency.")
    size: float = Field(ge=MIN_SIZE, le=MAX_SIZE, description="Units (shares, coins), not lots.")
    provider: Provider
    feed: Feed = ""
    venue: str = Field(default="", pattern=VENUE, description="Where it traded, a MIC if there is one.")
    conditions: str = Field(
        default="",
        pattern=CONDITIONS,
        description="Sale conditions, one character each, as on the tape.",
    )
    tape: str = Field(default="", pattern=TAPE, description="Listing tape: A, B or C.")
    seq: int = Field(default=0, ge=0, le=2**63 - 1, description="Sequence number of the feed, if it has one.")
    trade_id: str = Field(default="", pattern=TRADE_ID, description="The venue's own id of the trade.")
    ts_recv: Nanos | None = Field(default=None, description="When the feed handler received it.")


class ClockTick(InputModel):
    """Proof that a feed is alive: moves the watermark of its partition when nothing trades."""

    type: Literal["clock"]
    ts_event: Nanos
    provider: Provider
    feed: Feed = ""


_Nanos = Annotated[int, Meta(ge=EARLIEST_NS, lt=LATEST_NS)]


class Trade(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hot-path twin of `TradeTick`; ``gc=False``: only scalars inside, the collector need not look.

    Character sets are not here but in `schemas.decode`, which checks a whole chunk at once: a
    pattern on each field would more than double the price of a record.
    """

    symbol: Annotated[str, Meta(min_length=1, max_length=32)]
    ts_event: _Nanos
    price: Annotated[float, Meta(gt=0, le=MAX_PRICE)]
    size: Annotated[float, Meta(ge=MIN_SIZE, le=MAX_SIZE)]
    provider: Annotated[str, Meta(min_length=1, max_length=32)]
    feed: Annotated[str, Meta(max_length=32)] = ""
    venue: Annotated[str, Meta(max_length=16)] = ""
    conditions: Annotated[str, Meta(max_length=16)] = ""
    tape: Annotated[str, Meta(max_length=1)] = ""
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    trade_id: Annotated[str, Meta(max_length=64)] = ""
    ts_recv: _Nanos | None = None
