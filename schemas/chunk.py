"""A chunk of tick records, sorted out: what every tick topic has in common.

msgspec decodes; only what it refuses is shown to pydantic, whose verdict counts. A verdict depends on
the record alone, never on the chunk it came in: chunks are whatever slices the broker made.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from schemas.discontinuity import Discontinuity
from schemas.errors import Poison, Reason
from schemas.trade import ClockTick
from schemas.verdict import poison_of

#: an event this far beyond the broker's receive time would drag the watermark and close every bar
FUTURE_NS = 60_000_000_000
#: symbols change, and conditions can be anything: what is known must end somewhere
MAX_KNOWN_FORMS = 65_536
#: longer values are not examined for what else may be wrong with them (the reason costs more than the record)
MAX_EXAMINED_BYTES = 16_384


class Record(Protocol):
    """What is asked of a consumed record (``aiokafka.ConsumerRecord`` has more)."""

    @property
    def value(self) -> bytes | None:
        """The bytes as produced."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch; LogAppendTime on our topics."""


class Tick(Protocol):
    """What is asked of a tick."""

    @property
    def ts_event(self) -> int:
        """Nanoseconds since the epoch, UTC."""


R = TypeVar("R", bound=Record)
T = TypeVar("T", bound=Tick)

_timestamp: Callable[[Record], int] = attrgetter("timestamp")
_ts_event: Callable[[Tick], int] = attrgetter("ts_event")


class Forms:
    """Patterns for the words that a tick has in common with many others, and which of those were good before.

    One C loop over a chunk instead of a match for each tick.
    """

    def __init__(self, *patterns: str) -> None:
        """Take one pattern for each word."""
        self._patterns = tuple(map(re.compile, patterns))
        self._good: set[tuple[str, ...]] = set()

    def cover(self, words: Iterable[tuple[str, ...]]) -> bool:
        """Return whether all of these were good before."""
        return self._good.issuperset(words)

    def allow(self, words: tuple[str, ...]) -> bool:
        """Return whether every word matches its pattern; those that do are known from then on."""
        if words in self._good:
            return True
        if not all(pattern.fullmatch(word) for pattern, word in zip(self._patterns, words, strict=True)):
            return False
        if len(self._good) >= MAX_KNOWN_FORMS:
            self._good.clear()
        self._good.add(words)
        return True


@dataclass(frozen=True, slots=True)
class Contract(Generic[T]):
    """What a topic's values are."""

    twin: type[T]
    decode: Callable[[bytes], T]
    """The fast way; raises what msgspec raises."""
    examine: Callable[[bytes | None], T | BaseModel | Poison]
    """The slow, exact way: a tick, what else may be beside ticks, or what is wrong."""
    malformed: Callable[[Sequence[T]], Sequence[int]]
    """Which of these have characters that the patterns of the model refuse; ascending indices."""


@dataclass(slots=True)
class Sorted(Generic[T, R]):
    """A chunk, sorted out. ``records[i]`` is where ``ticks[i]`` came from."""

    ticks: list[T]
    records: Sequence[R]
    beside: list[tuple[int, R, BaseModel]] = field(default_factory=list)
    """(how many of ``ticks`` precede it, its record, what it is)."""
    rejects: list[tuple[R, Poison]] = field(default_factory=list)


def sort_out(records: Sequence[R], contract: Contract[T]) -> Sorted[T, R]:
    """Return the ticks of a chunk in order, what is beside them, and the poison with its reasons."""
    found: Sorted[T, R] = Sorted([], records)
    decode, twin = contract.decode, contract.twin
    ticks, append, other = found.ticks, found.ticks.append, []
    remaining = iter(records)
    record: R
    while True:
        try:  # the iterator outlives the exception: only the refused record is handled apart
            for record in remaining:
                append(decode(record.value))  # type: ignore[arg-type] # None raises TypeError, which is handled
            break
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
            verdict = contract.examine(record.value)
            if isinstance(verdict, twin):
                append(verdict)
                continue
            other.append(record)
            if isinstance(verdict, ClockTick | Discontinuity):
                verdict = _from_the_future(verdict, record) or verdict
            if isinstance(verdict, Poison):
                found.rejects.append((record, verdict))
            else:
                assert isinstance(verdict, BaseModel), "a twin was told apart above"
                found.beside.append((len(ticks), record, verdict))
    if other:
        gone = set(map(id, other))
        found.records = [record for record in records if id(record) not in gone]
    if ticks:
        _check(found, contract)
    return found


def unusable(value: bytes | None) -> Poison | None:
    """Return what is wrong with a value whatever the topic: nothing in it, or too much to be examined."""
    if not value:
        return Poison(Reason.EMPTY, "value: a tombstone" if value is None else "value: no bytes")
    if len(value) > MAX_EXAMINED_BYTES:
        return Poison(Reason.TOO_LARGE, f"value: {len(value)} bytes, examined up to {MAX_EXAMINED_BYTES}")
    return None


M = TypeVar("M", bound=BaseModel)


def validated(value: bytes, model: type[M]) -> M | Poison:
    """Return a value as a model, or what is wrong with it."""
    try:
        return model.model_validate_json(value)
    except ValidationError as exc:
        return poison_of(exc)


class _Kind(msgspec.Struct):
    type: object = None


_kind = msgspec.json.Decoder(_Kind).decode


def kind_of(value: bytes) -> str | None:
    """Return what `type` says; a tick has no `type`."""
    try:
        kind = _kind(value).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # pydantic says why: its own limit of depth is lower
    return kind if isinstance(kind, str) else None


def _check(found: Sorted[T, R], contract: Contract[T]) -> None:
    """Check a chunk as a whole for what the structs do not: character sets and future timestamps."""
    if malformed := contract.malformed(found.ticks):
        _divert(found, {i: _malformed(found.records[i], contract) for i in malformed})
    ticks, records = found.ticks, found.records
    # the oldest record of the chunk: record timestamps need not ascend where the producer sets them
    if ticks and max(map(_ts_event, ticks)) > min(map(_timestamp, records)) * 1_000_000 + FUTURE_NS:
        pairs = enumerate(zip(ticks, records, strict=True))
        future = {i: poison for i, pair in pairs if (poison := _from_the_future(*pair))}
        _divert(found, future)


def _malformed(record: Record, contract: Contract[T]) -> Poison:
    verdict = contract.examine(record.value)
    assert isinstance(verdict, Poison), "the twin's patterns and the contract's are the same"
    return verdict


def _from_the_future(tick: Tick, record: Record) -> Poison | None:
    ahead = tick.ts_event - record.timestamp * 1_000_000
    if ahead <= FUTURE_NS:
        return None
    return Poison(
        Reason.FUTURE,
        f"ts_event: {ahead / 1e9:.0f} s after the broker received it, {FUTURE_NS / 1e9:.0f} s allowed",
    )


def _divert(found: Sorted[T, R], poison: Mapping[int, Poison]) -> None:
    """Move the ticks at these ascending indices to ``rejects``."""
    if not poison:
        return
    found.rejects += [(found.records[i], why) for i, why in poison.items()]
    found.ticks = [tick for i, tick in enumerate(found.ticks) if i not in poison]
    found.records = [record for i, record in enumerate(found.records) if i not in poison]
    gone = list(poison)
    found.beside = [(at - bisect_left(gone, at), record, what) for at, record, what in found.beside]
