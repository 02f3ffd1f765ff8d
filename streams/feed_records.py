"""What a feed says, as records: which topic, which partition, which bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka.partitioner import DefaultPartitioner

from providers.dialogue import Tick
from schemas.correction import TradeCancel
from schemas.discontinuity import Discontinuity
from schemas.quote import RawQuote
from schemas.topics import QUOTES_RAW, TRADES, TopicSpec
from schemas.trade import ClockTick, Trade
from streams.output import Message, Target

_JSON: Final = ("content-type", b"application/json")
Headers = list[tuple[str, bytes]]
_encode: Final = msgspec.json.Encoder().encode


def _headers(schema: bytes) -> Headers:
    return [_JSON, ("schema", schema)]


_TRADE: Final = _headers(b"trade-tick.v1")
_QUOTE: Final = _headers(b"quote-tick.v1")
_CANCEL: Final = _headers(b"trade-cancel.v1")
_CORRECTION: Final = _headers(b"trade-correction.v1")
_CLOCK: Final = _headers(b"clock-tick.v1")
_DISCONTINUITY: Final = _headers(b"discontinuity.v1")


@dataclass(frozen=True, slots=True)
class Ticks:
    """What one frame brought, in order."""

    ticks: Sequence[Tick]


@dataclass(frozen=True, slots=True)
class Clock:
    """A promise, for every partition."""

    tick: ClockTick


@dataclass(frozen=True, slots=True)
class Hole:
    """Something may be missing: everywhere, or of some symbols only."""

    told: Discontinuity
    symbols: tuple[str, ...] = ()


Entry = Ticks | Clock | Hole


class FeedRecords:
    """Knows the topics of one feed and their partitions."""

    def __init__(self, partitions: Mapping[str, int], topic: Callable[[TopicSpec], str]) -> None:
        """Take the topics that this feed fills.

        Args:
            partitions: logical name of each topic, and how many partitions it has.
            topic: physical name.
        """
        self.targets: dict[str, list[Target]] = {
            spec.name: [(topic(spec), p) for p in range(partitions[spec.name])]
            for spec in (TRADES, QUOTES_RAW)
            if spec.name in partitions
        }
        self._everywhere = [target for targets in self.targets.values() for target in targets]
        self._known: dict[tuple[str, str], tuple[bytes, Target]] = {}
        self._partitioner = DefaultPartitioner()

    def messages(self, entries: Iterable[Entry]) -> dict[Target, list[Message]]:
        """Return the records of entries, in the order of the entries within each partition."""
        found: dict[Target, list[Message]] = {}
        for entry in entries:
            if isinstance(entry, Ticks):
                for tick in entry.ticks:
                    key, target, value, headers = self._tick(tick)
                    found.setdefault(target, []).append((key, value, headers))
            elif isinstance(entry, Clock):
                value = entry.tick.model_dump_json().encode()
                for target in self._everywhere:
                    found.setdefault(target, []).append((None, value, _CLOCK))
            else:
                value = entry.told.model_dump_json().encode()
                for target in self._concerned(entry.symbols):
                    found.setdefault(target, []).append((None, value, _DISCONTINUITY))
        return found

    def _tick(self, tick: Tick) -> tuple[bytes, Target, bytes, Headers]:
        if isinstance(tick, Trade):
            return *self._target(TRADES.name, tick.symbol), _encode(tick), _TRADE
        if isinstance(tick, RawQuote):
            return *self._target(QUOTES_RAW.name, tick.symbol), _encode(tick), _QUOTE
        headers = _CANCEL if isinstance(tick, TradeCancel) else _CORRECTION
        return *self._target(TRADES.name, tick.symbol), tick.model_dump_json().encode(), headers

    def _target(self, topic: str, symbol: str) -> tuple[bytes, Target]:
        known = self._known.get((topic, symbol))
        if known is None:
            key, targets = symbol.encode(), self.targets[topic]
            numbers = list(range(len(targets)))
            known = key, targets[self._partitioner(key, numbers, numbers)]
            self._known[topic, symbol] = known
        return known

    def _concerned(self, symbols: Sequence[str]) -> list[Target]:
        if not symbols:
            return self._everywhere
        return list({self._target(topic, s)[1]: None for s in symbols for topic in self.targets})
