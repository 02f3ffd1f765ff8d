"""What takes a trade back, or replaces it: records of ``md.trades.v1`` beside the trades."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Feed, InputModel, Nanos, Provider, Symbol
from schemas.trade import CONDITIONS, MAX_PRICE, MAX_SIZE, MIN_SIZE, TAPE, TRADE_ID, VENUE


class _Amendment(InputModel):
    symbol: Symbol
    ts_event: Nanos = Field(description="When the amendment was made, nanoseconds since the epoch, UTC.")
    provider: Provider
    feed: Feed = ""
    venue: str = Field(default="", pattern=VENUE, description="Where the trade was made.")
    tape: str = Field(default="", pattern=TAPE, description="Listing tape: A, B or C.")
    orig_id: str = Field(default="", pattern=TRADE_ID, description="The venue's id of the trade it is about.")
    orig_price: float = Field(gt=0, le=MAX_PRICE, description="Price that the trade had.")
    orig_size: float = Field(ge=MIN_SIZE, le=MAX_SIZE, description="Size that the trade had, in units.")
    ts_recv: Nanos | None = Field(default=None, description="When the feed handler received it.")


class TradeCancel(_Amendment):
    """A trade that never was: busted or cancelled."""

    type: Literal["cancel"]


class TradeCorrection(_Amendment):
    """A trade that was another: price, size or conditions were wrong."""

    type: Literal["correction"]
    trade_id: str = Field(default="", pattern=TRADE_ID, description="The id of the corrected trade.")
    price: float = Field(gt=0, le=MAX_PRICE, description="Price that it should have had.")
    size: float = Field(ge=MIN_SIZE, le=MAX_SIZE, description="Size that it should have had, in units.")
    conditions: str = Field(
        default="", pattern=CONDITIONS, description="Sale conditions that it should have had."
    )
