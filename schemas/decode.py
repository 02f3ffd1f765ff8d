"""Bytes of ``md.trades.v1`` to trades, a chunk at a time; what cannot be used gets a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic

import msgspec

from schemas.base import NAME, OPTIONAL_NAME, SYMBOL
from schemas.chunk import Contract, Forms, R, kind_of, sort_out, unusable, validated
from schemas.correction import TradeCancel, TradeCorrection
from schemas.discontinuity import Discontinuity
from schemas.errors import Poison, Reason
from schemas.trade import CONDITIONS, TAPE, TRADE_ID, VENUE, ClockTick, Trade, TradeTick

_CHECKED = ("symbol", "provider", "feed", "venue", "conditions", "tape")
_FORMS = Forms(SYMBOL, NAME, OPTIONAL_NAME, VENUE, CONDITIONS, TAPE)
_TRADE_IDS = re.compile(TRADE_ID.replace("{0,64}", "*"))
_words: Callable[[Trade], tuple[str, ...]] = attrgetter(*_CHECKED)
_trade_id: Callable[[Trade], str] = attrgetter("trade_id")
#: what `type` says -> what it is; a trade has no `type`
_BESIDE: Mapping[object, type[ClockTick | Discontinuity | TradeCancel | TradeCorrection]] = {
    "clock": ClockTick,
    "discontinuity": Discontinuity,
    "cancel": TradeCancel,
    "correction": TradeCorrection,
}


@dataclass(slots=True)
class Decoded(Generic[R]):
    """A chunk, sorted out. ``records[i]`` is where ``trades[i]`` came from."""

    trades: list[Trade]
    records: Sequence[R]
    discontinuities: list[Discontinuity] = field(default_factory=list)
    clocks: list[tuple[int, ClockTick]] = field(default_factory=list)
    """(how many of ``trades`` precede it, the clock record)."""
    rejects: list[tuple[R, Poison]] = field(default_factory=list)


def decode_chunk(records: Sequence[R]) -> Decoded[R]:
    """Return the trades of a chunk in order, its clock records, and the poison with its reasons."""
    found = sort_out(records, _CONTRACT)
    decoded = Decoded(found.ticks, found.records, rejects=found.rejects)
    for at, _, what in found.beside:
        if isinstance(what, ClockTick):
            decoded.clocks.append((at, what))
        elif isinstance(what, Discontinuity):
            decoded.discontinuities.append(what)
    return decoded


def examine(value: bytes | None) -> Trade | ClockTick | Discontinuity | Poison:
    """Return what the contract says of one value: the slow, exact way.

    Corrections and cancels are good records that candles do not take yet: they are kept as dead letters
    of a reason of their own, to be replayed when they do.
    """
    if (poison := unusable(value)) or value is None:
        assert poison is not None, "None is not usable"
        return poison
    if (model := _BESIDE.get(kind_of(value))) is None:
        tick = validated(value, TradeTick)
        return tick if isinstance(tick, Poison) else Trade(**dict(tick))
    other = validated(value, model)
    if isinstance(other, TradeCancel | TradeCorrection):
        return Poison(Reason.CORRECTION, f"type: a {other.type} of trade {other.orig_id or 'without an id'}")
    return other


def _malformed(trades: Sequence[Trade]) -> Sequence[int]:
    if _FORMS.cover(map(_words, trades)) and _TRADE_IDS.fullmatch("".join(map(_trade_id, trades))):
        return ()
    return [
        i
        for i, trade in enumerate(trades)
        if not (_FORMS.allow(_words(trade)) and _TRADE_IDS.fullmatch(trade.trade_id))
    ]


_CONTRACT = Contract(Trade, msgspec.json.Decoder(Trade).decode, examine, _malformed)
