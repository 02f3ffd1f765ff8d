"""The fold: raw quotes of one partition, in record order, to quotes in one meaning and with a number.

The result depends on the records and their order alone, never on how the broker sliced the partition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from domain.quote_flags import CROSSED, LOCKED, NAMES, ONE_SIDED, OUT_OF_ORDER, STALE
from schemas import chunk
from schemas.decode_quotes import DecodedQuotes
from schemas.discontinuity import Discontinuity
from schemas.quote import L1Quote, Marker, RawQuote

#: what was seen so long ago, or less, by LogAppendTime, is a repeat when it comes again
DUPLICATE_S: Final = 10
#: a quote that came later than this after its own time is stale; by LogAppendTime
STALE_S: Final = 5

POSITION_RESET: Final = "position reset"
STATE_LOST: Final = "state lost"

_DUPLICATE_MS: Final = DUPLICATE_S * 1000
_STALE_NS: Final = STALE_S * 1_000_000_000
_MS: Final = 1_000_000
#: chunks that begin within so long of each other are one step of `resume_offset`
_STEP_MS: Final = 100

#: symbol, provider, feed: each is in order, and repeats itself, on its own
Words = tuple[str, str, str]
#: Highest ts_event (ns); the number of the symbol's last quote, in a list that all its sources share; this
#: source in the keys of the filter. A list, not a class: it is touched once per quote.
Source = list[Any]
_words: Callable[[RawQuote], Words] = attrgetter("symbol", "provider", "feed")
_fields: Callable[[RawQuote], tuple[Any, ...]] = msgspec.structs.astuple
#: What was seen -> the last time, by LogAppendTime (ms). Its 64-bit hash stands for it, at a fifth of the
#: memory: at 20,000 quotes a second two different ones share it less often than once in a hundred years.
_Seen = dict[int, int]


class Record(chunk.Record, Protocol):
    """What is asked of a consumed record."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""


R = TypeVar("R", bound=Record)
_time_ms: Callable[[Record], int] = attrgetter("timestamp")


class PlacedMarker(NamedTuple):
    """A marker, and where in the stream it goes."""

    at: int
    """How many of the emitted quotes precede it."""
    place: str
    """Offset of the raw record; told apart from that of a record if it is made of none."""
    marker: Marker

    def id(self, partition: int) -> str:
        """Return what consumers drop repeats by."""
        return f"marker|{partition}|{self.place}"


@dataclass(slots=True)
class FoldedQuotes:
    """What a chunk gave."""

    quotes: list[L1Quote] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    """LogAppendTime of each."""
    markers: list[PlacedMarker] = field(default_factory=list)
    duplicates: int = 0

    def in_order(self) -> Iterator[L1Quote | PlacedMarker]:
        """Yield quotes and markers as they follow each other on the topic."""
        begin = 0
        for placed in self.markers:
            yield from self.quotes[begin : placed.at]
            yield placed
            begin = placed.at
        yield from self.quotes[begin:]


class QuoteBook:
    """What is known of the quotes of one partition."""

    __slots__ = (
        "_marks",
        "_old",
        "_turned_ms",
        "_young",
        "announce",
        "base",
        "now_ms",
        "sources",
        "stands_at",
        "symbols",
    )

    def __init__(self, *, stands_at: int = 0, base: int = 0, announce: str = "", now_ms: int = 0) -> None:
        """Start with nothing known.

        Args:
            stands_at: records below this offset are shown to `warm` only, the others to `fold`.
            base: the first quote of a new symbol gets the number after it. No symbol has had more quotes
                than its partition has records, so an offset is above all numbers given for what precedes it.
            announce: reason of a marker that precedes everything; empty: none is due.
            now_ms: the latest LogAppendTime of what precedes the first record that this book is shown.
        """
        self.stands_at = stands_at
        self.base = base
        self.announce = announce
        self.sources: dict[Words, Source] = {}
        #: symbol -> [number of its last quote]
        self.symbols: dict[str, list[int]] = {}
        #: the latest LogAppendTime of a quote: where a broker's clock goes back, ours waits
        self.now_ms = now_ms
        # two of them, so that what is too old goes without being looked for
        self._young: _Seen = {}
        self._old: _Seen = {}
        self._turned_ms = 0
        #: [first offset, now_ms at its begin, now_ms at its end] of chunks, as far back as the filter reaches
        self._marks: deque[list[int]] = deque()

    def fold(self, decoded: DecodedQuotes[R], records: Sequence[R]) -> FoldedQuotes:
        """Fold a chunk.

        Args:
            decoded: what the chunk holds.
            records: the chunk, from `stands_at` on, not empty.
        """
        folded = FoldedQuotes()
        if self.announce:
            marker = Marker(records[0].timestamp * _MS, self.announce)
            folded.markers.append(PlacedMarker(0, f"{self.stands_at}|{self.announce}", marker))
            self.announce = ""
        self._take(decoded, records[0].offset, folded)
        folded.duplicates = len(decoded.quotes) - len(folded.quotes)
        return folded

    def warm(self, decoded: DecodedQuotes[R], records: Sequence[R]) -> None:
        """Show a chunk below `stands_at`: only so that repeats of what it holds are known."""
        folded = FoldedQuotes()
        self._take(decoded, records[0].offset, folded)
        for quote in folded.quotes:
            self.symbols[quote.symbol][0] -= 1

    @property
    def remembered(self) -> int:
        """How many quotes are kept so that their repeats are known."""
        return len(self._young) + len(self._old)

    def resume_offset(self, folded: int) -> int:
        """Return where `warm` must begin so that every repeat of what was seen is known.

        Args:
            folded: everything below has been folded.
        """
        return self.resume_point(folded)[0]

    def resume_point(self, folded: int) -> tuple[int, int]:
        """Return `resume_offset`, and ``now_ms`` there: no record says it where a clock had gone back."""
        marks, since_ms = self._marks, self.now_ms - _DUPLICATE_MS
        while marks and marks[0][2] < since_ms:
            marks.popleft()
        return (marks[0][0], marks[0][1]) if marks else (folded, self.now_ms)

    def know(self, words: Words, highest: int, number: int) -> None:
        """Take what a snapshot says of a source: its highest ts_event, its symbol's last number."""
        counter = self.symbols.setdefault(words[0], [number])
        self.sources[words] = [highest, counter, len(self.sources)]

    def _take(self, decoded: DecodedQuotes[R], offset: int, folded: FoldedQuotes) -> None:
        quotes, times_ms, begin, begun_ms = decoded.quotes, [*map(_time_ms, decoded.records)], 0, self.now_ms
        for at, record, what in decoded.beside:
            self._fold(quotes[begin:at], times_ms[begin:at], folded)
            begin = at
            # a quiet partition grows older too
            self.now_ms = max(self.now_ms, record.timestamp)
            if isinstance(what, Discontinuity):
                marker = Marker(what.ts_event, what.reason, what.provider, what.feed, what.ts_from)
                folded.markers.append(PlacedMarker(len(folded.quotes), str(record.offset), marker))
        self._fold(quotes[begin:] if begin else quotes, times_ms[begin:] if begin else times_ms, folded)
        if quotes:
            self._mark(offset, begun_ms)

    def _fold(self, quotes: Sequence[RawQuote], times_ms: Sequence[int], folded: FoldedQuotes) -> None:  # noqa: C901
        known, young, old, now_ms = self.sources.get, self._young, self._old, self.now_ms
        append, append_time, names = folded.quotes.append, folded.times_ms.append, NAMES
        # one loop, no calls: what it costs is paid for each quote
        for words, values, time_ms in zip(map(_words, quotes), map(_fields, quotes), times_ms, strict=True):
            (symbol, ts, provider, bid, bid_size, ask, ask_size, feed, bid_venue, ask_venue, conditions,
             tape, seq, ts_recv) = values  # fmt: skip
            source = known(words)
            if source is None:
                self.know(words, 0, self.base)
                source = self.sources[words]
            if time_ms > now_ms:
                now_ms = time_ms
                if now_ms - self._turned_ms > _DUPLICATE_MS:
                    # everything in the older one was seen before the last turn
                    self._old = old = young
                    self._young = young = {}
                    self._turned_ms = now_ms
            if not bid:
                bid = bid_size = None
            if not ask:
                ask = ask_size = None
            highest, counter, number = source
            key = hash(
                (number, ts, seq)
                if seq
                else (number, ts, bid, bid_size, ask, ask_size, bid_venue, ask_venue, conditions)
            )
            if ts > highest:  # nothing like it can have been seen
                source[0] = ts
                flags = 0
            else:
                seen = young.get(key)
                if seen is None:
                    seen = old.get(key)
                if seen is not None and now_ms - seen <= _DUPLICATE_MS:
                    young[key] = now_ms
                    continue
                flags = OUT_OF_ORDER if ts < highest else 0
            young[key] = now_ms
            if bid is None or ask is None:
                flags |= ONE_SIDED
            elif bid >= ask:
                flags |= CROSSED if bid > ask else LOCKED
            if time_ms * _MS - ts > _STALE_NS:
                flags |= STALE
            n = counter[0] = counter[0] + 1
            append(L1Quote(symbol, ts, n, provider, bid, bid_size, ask, ask_size, feed, bid_venue, ask_venue,
                           conditions, tape, seq, names[flags], ts_recv))  # fmt: skip
            append_time(time_ms)
        self.now_ms = now_ms

    def _mark(self, offset: int, begun_ms: int) -> None:
        now_ms, marks = self.now_ms, self._marks
        if marks and now_ms - marks[-1][1] <= _STEP_MS:
            marks[-1][2] = now_ms
        else:
            marks.append([offset, begun_ms, now_ms])
        self.resume_offset(0)
