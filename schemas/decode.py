"""Bytes of ``md.trades.v1`` to trades, a chunk at a time; what cannot be used gets a reason.

msgspec decodes; only what it refuses is shown to pydantic, whose verdict counts. A verdict depends on
the record alone, never on the chunk it came in: chunks are whatever slices the broker made.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import msgspec
from pydantic import ValidationError

from schemas.base import NAME, OPTIONAL_NAME, SYMBOL
from schemas.correction import TradeCancel, TradeCorrection
from schemas.discontinuity import Discontinuity
from schemas.errors import Poison, Reason
from schemas.trade import CONDITIONS, TAPE, TRADE_ID, VENUE, ClockTick, Trade, TradeTick
from schemas.verdict import poison_of

#: an event this far beyond the broker's receive time would drag the watermark and close every bar
FUTURE_NS = 60_000_000_000
#: longer values are not examined for what else may be wrong with them (the reason costs more than the record)
MAX_EXAMINED_BYTES = 16_384

_CHECKED = ("symbol", "provider", "feed", "venue", "conditions", "tape")
_PATTERNS = tuple(re.compile(p) for p in (SYMBOL, NAME, OPTIONAL_NAME, VENUE, CONDITIONS, TAPE))
_TRADE_IDS = re.compile(TRADE_ID.replace("{0,64}", "*"))
_words: Callable[[Trade], tuple[str, ...]] = attrgetter(*_CHECKED)
_trade_id: Callable[[Trade], str] = attrgetter("trade_id")
_ts_event: Callable[[Trade], int] = attrgetter("ts_event")
_decode = msgspec.json.Decoder(Trade).decode


class Record(Protocol):
    """What is asked of a consumed record (``aiokafka.ConsumerRecord`` has more)."""

    @property
    def value(self) -> bytes | None:
        """The bytes as produced."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch; LogAppendTime on our topics."""


_timestamp: Callable[[Record], int] = attrgetter("timestamp")


R = TypeVar("R", bound=Record)


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
    decoded = Decoded([], records)
    trades, append, other = decoded.trades, decoded.trades.append, []
    remaining = iter(records)
    record: R
    while True:
        try:  # the iterator outlives the exception: only the refused record is handled apart
            for record in remaining:
                append(_decode(record.value))  # type: ignore[arg-type] # None raises TypeError, which is handled
            break
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
            verdict = examine(record.value)
            if isinstance(verdict, Trade):
                append(verdict)
                continue
            other.append(record)
            if not isinstance(verdict, Poison) and (poison := _from_the_future(verdict, record)):
                verdict = poison
            if isinstance(verdict, ClockTick):
                decoded.clocks.append((len(trades), verdict))
            elif isinstance(verdict, Discontinuity):
                decoded.discontinuities.append(verdict)
            else:
                decoded.rejects.append((record, verdict))
    if other:
        gone = set(map(id, other))
        decoded.records = [record for record in records if id(record) not in gone]
    if trades:
        _check_chunk(decoded)
    return decoded


def examine(value: bytes | None) -> Trade | ClockTick | Discontinuity | Poison:
    """Return what the contract says of one value: the slow, exact way.

    Corrections and cancels are good records that candles do not take yet: they are kept as dead letters
    of a reason of their own, to be replayed when they do.
    """
    if not value:
        return Poison(Reason.EMPTY, "value: a tombstone" if value is None else "value: no bytes")
    if len(value) > MAX_EXAMINED_BYTES:
        return Poison(Reason.TOO_LARGE, f"value: {len(value)} bytes, examined up to {MAX_EXAMINED_BYTES}")
    try:
        if (model := _BESIDE_TRADES.get(_kind_of(value))) is None:
            return Trade(**dict(TradeTick.model_validate_json(value)))
        other = model.model_validate_json(value)
    except ValidationError as exc:
        return poison_of(exc)
    if isinstance(other, TradeCancel | TradeCorrection):
        return Poison(Reason.CORRECTION, f"type: a {other.type} of trade {other.orig_id or 'without an id'}")
    return other


#: what `type` says -> what it is; a trade has no `type`
_BESIDE_TRADES: Mapping[
    object, type[ClockTick] | type[Discontinuity] | type[TradeCancel] | type[TradeCorrection]
] = {
    "clock": ClockTick,
    "discontinuity": Discontinuity,
    "cancel": TradeCancel,
    "correction": TradeCorrection,
}


class _Kind(msgspec.Struct):
    type: object = None


_kind = msgspec.json.Decoder(_Kind).decode


def _kind_of(value: bytes) -> str | None:
    try:
        kind = _kind(value).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # pydantic says why: its own limit of depth is lower
    return kind if isinstance(kind, str) else None


@lru_cache(maxsize=65_536)
def _well_formed(words: tuple[str, ...]) -> bool:
    return all(p.fullmatch(w) for p, w in zip(_PATTERNS, words, strict=True))


def _check_chunk(decoded: Decoded[R]) -> None:
    """Check a chunk as a whole for what the structs do not: character sets and future timestamps."""
    trades, records = decoded.trades, decoded.records
    if not (
        all(map(_well_formed, set(map(_words, trades))))
        and _TRADE_IDS.fullmatch("".join(map(_trade_id, trades)))
    ):
        malformed = [
            i
            for i, trade in enumerate(trades)
            if not (_well_formed(_words(trade)) and _TRADE_IDS.fullmatch(trade.trade_id))
        ]
        _divert(decoded, {i: _malformed(records[i]) for i in malformed})
        trades, records = decoded.trades, decoded.records
    # the oldest record of the chunk: record timestamps need not ascend where the producer sets them
    if trades and max(map(_ts_event, trades)) > min(map(_timestamp, records)) * 1_000_000 + FUTURE_NS:
        ticks = enumerate(zip(trades, records, strict=True))
        future = {i: poison for i, tick in ticks if (poison := _from_the_future(*tick))}
        _divert(decoded, future)


def _malformed(record: Record) -> Poison:
    verdict = examine(record.value)
    assert isinstance(verdict, Poison), "the twin's patterns and the contract's are the same"
    return verdict


def _from_the_future(tick: Trade | ClockTick | Discontinuity, record: Record) -> Poison | None:
    ahead = tick.ts_event - record.timestamp * 1_000_000
    if ahead <= FUTURE_NS:
        return None
    return Poison(
        Reason.FUTURE,
        f"ts_event: {ahead / 1e9:.0f} s after the broker received it, {FUTURE_NS / 1e9:.0f} s allowed",
    )


def _divert(decoded: Decoded[R], poison: Mapping[int, Poison]) -> None:
    """Move the trades at these ascending indices to ``rejects``."""
    if not poison:
        return
    decoded.rejects += [(decoded.records[i], why) for i, why in poison.items()]
    decoded.trades = [trade for i, trade in enumerate(decoded.trades) if i not in poison]
    decoded.records = [record for i, record in enumerate(decoded.records) if i not in poison]
    gone = list(poison)
    decoded.clocks = [(at - bisect_left(gone, at), clock) for at, clock in decoded.clocks]
