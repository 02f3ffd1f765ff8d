"""What must come of raw quotes, worked out again from the records alone, in another way than the worker's.

Shares no code with decoder and fold: JSON by the standard library, the contract read once more by hand, and
every quote ever seen remembered with the moment at which it was seen last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.oracle import CLOCKS, DISCONTINUITY, SECOND, TRADE, Input, Kinds, coverage, number, read

#: a quote seen so long ago by the broker's clock, in milliseconds, is a new one when it comes again
REPEATED_MS = 10_000
STALE = 5 * SECOND
#: a provider that has said nothing of a symbol for longer gives way to a lesser one
SILENT_MS = 5_000
#: what POLICY_QUOTES_L1 is unless it is set
PLACES = ("polygon", "alpaca", "iex", "finnhub")
CROSSED, LOCKED, ONE_SIDED, LATE, BEHIND = 1, 2, 4, 8, 16
NAMES = {CROSSED: "crossed", LOCKED: "locked", ONE_SIDED: "one_sided", LATE: "stale", BEHIND: "out_of_order"}

#: with the sides, these make the content of a quote
WORDS = ("bid_venue", "ask_venue", "conditions")
_UNITS = number(0, 1e12)


def _side(v: object) -> bool:
    return v is None or _UNITS(v)


_RULES = {name: TRADE[name] for name in ("symbol", "provider", "feed", "ts_event", "tape", "seq", "ts_recv")}
_RULES |= dict.fromkeys(("bid", "bid_size", "ask", "ask_size"), _side)
_RULES |= {"bid_venue": TRADE["venue"], "ask_venue": TRADE["venue"], "conditions": TRADE["conditions"]}
#: what ``md.quotes.raw.v1`` may hold
OF_QUOTES: Kinds = {
    None: (_RULES, {"symbol", "ts_event", "provider"}),
    "clock": CLOCKS,
    "discontinuity": DISCONTINUITY,
}


class Quote(NamedTuple):
    """A quote that must have come out, once."""

    symbol: str
    n: int
    ts_event: int
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    provider: str
    feed: str
    bid_venue: str
    ask_venue: str
    conditions: str
    tape: str
    seq: int
    ts_recv: int | None
    flags: int
    received_ms: int
    """By the broker; no part of what comes out."""

    @property
    def id(self) -> str:
        """As the topic's header has it."""
        return f"{self.symbol}|{self.n}"

    def value(self) -> dict[str, Any]:
        """Return the value on the topic."""
        told = self._asdict()
        del told["received_ms"]
        told["flags"] = [name for flag, name in NAMES.items() if self.flags & flag]
        # a size of 0 is said; no feed numbers from 0
        return {name: v for name, v in told.items() if v not in (None, "", []) and (name != "seq" or v)}

    def row(self) -> dict[str, Any]:
        """Return the row in the table, without its rank."""
        columns = ("symbol", "n", "bid", "bid_size", "ask", "ask_size", "provider", "feed", "seq", "flags")
        return {name: getattr(self, name) for name in columns} | {
            "ts_us": self.ts_event // 1_000,
            "ts_ns": self.ts_event,
            "coverage": coverage(self.feed),
        }


class Marker(NamedTuple):
    """Where a feed had a hole."""

    partition: int
    offset: int
    ts_from: int
    ts_event: int
    provider: str
    feed: str
    reason: str

    @property
    def id(self) -> str:
        """As the topic's header has it."""
        return f"marker|{self.partition}|{self.offset}"

    def value(self) -> dict[str, Any]:
        """Return the value on the topic."""
        told = self._asdict() | {"type": "marker"}
        del told["partition"], told["offset"]
        return {name: v for name, v in told.items() if v != ""}


@dataclass(slots=True)
class QuoteTruth:
    """Everything that must have come out when all records are stored."""

    emitted: dict[int, list[Quote | Marker]] = field(default_factory=lambda: defaultdict(list))
    """By partition, in order."""
    dead: dict[tuple[int, int], str] = field(default_factory=dict)
    """(partition, offset) of each dead letter, and its reason."""
    inputs: dict[tuple[int, int], Input] = field(default_factory=dict)
    """The dead ones, as they were."""
    records: int = 0
    duplicates: int = 0
    clocks: int = 0

    @property
    def quotes(self) -> dict[tuple[str, int], Quote]:
        """Every quote, by symbol and number."""
        every = (out for outs in self.emitted.values() for out in outs)
        return {(out.symbol, out.n): out for out in every if isinstance(out, Quote)}

    @property
    def markers(self) -> list[Marker]:
        """Every marker."""
        return [out for outs in self.emitted.values() for out in outs if isinstance(out, Marker)]


def best(quotes: Iterable[Quote], places: Sequence[str] = PLACES) -> Iterator[Quote]:
    """Yield, of the quotes of one symbol in their order, each that is the best one when it comes.

    Args:
        quotes: of one symbol, in order.
        places: of the providers, the best first.
    """
    heard: dict[tuple[str, str], int] = {}
    shown: Quote | None = None
    for quote in quotes:
        source = quote.provider, quote.feed
        if shown is None:
            takes = True
        else:
            held = shown.provider, shown.feed
            silent = quote.received_ms - heard[held] > SILENT_MS
            takes = source == held or _standing(source, places) < _standing(held, places) or silent
            takes = takes and quote.ts_event >= shown.ts_event
        heard[source] = quote.received_ms
        if takes:
            shown = quote
            yield quote


def _standing(source: tuple[str, str], places: Sequence[str]) -> tuple[int, bool]:
    provider, feed = source
    return places.index(provider) if provider in places else len(places), coverage(feed) == "iex"


def work_out_quotes(records: Iterable[Input]) -> QuoteTruth:
    """Return the truth about ``md.quotes.raw.v1``.

    Args:
        records: each partition's in the order of its offsets, from its very beginning, with timestamps.
    """
    truth = QuoteTruth()
    seen: dict[object, int] = {}
    newest: dict[tuple[str, str, str], int] = {}
    numbers: defaultdict[str, int] = defaultdict(int)
    homes: dict[str, int] = {}
    for record in records:
        truth.records += 1
        received = record.timestamp
        assert received is not None
        said = read(record.value, received, OF_QUOTES)
        if isinstance(said, str):
            truth.dead[record.partition, record.offset] = said
            truth.inputs[record.partition, record.offset] = record
            continue
        if said.get("type") == "clock":
            truth.clocks += 1
            continue
        out = truth.emitted[record.partition]
        if "type" in said:
            told = {name: said.get(name, "") for name in Marker._fields[2:]}
            out.append(Marker(record.partition, record.offset, **told))
            continue
        symbol, at = said["symbol"], said["ts_event"]
        assert homes.setdefault(symbol, record.partition) == record.partition, (
            f"{symbol} is in two partitions"
        )
        source = symbol, said["provider"], said.get("feed", "")
        sides = *_normal(said, "bid"), *_normal(said, "ask")
        words = [said.get(name, "") for name in WORDS]
        seq = said.get("seq", 0)
        what = (source, at, seq) if seq else (source, at, sides, *words)
        before = seen.get(what)
        seen[what] = received
        if before is not None and received - before <= REPEATED_MS:
            truth.duplicates += 1
            continue
        flags = _flags(sides[0], sides[2])
        flags += LATE * (received * 1_000_000 - at > STALE) + BEHIND * (at < newest.get(source, at))
        newest[source] = max(at, newest.get(source, at))
        numbers[symbol] += 1
        told = {name: said.get(name, "") for name in (*WORDS, "feed", "tape")}
        out.append(
            Quote(
                symbol,
                numbers[symbol],
                at,
                *sides,
                said["provider"],
                **told,
                seq=seq,
                ts_recv=said.get("ts_recv"),
                flags=flags,
                received_ms=received,
            )
        )
    return truth


def _normal(said: Mapping[str, Any], side: str) -> tuple[float | None, float | None]:
    price = said.get(side)
    return (price, said.get(f"{side}_size")) if price else (None, None)


def _flags(bid: float | None, ask: float | None) -> int:
    if bid is None or ask is None:
        return ONE_SIDED
    return CROSSED * (bid > ask) + LOCKED * (bid == ask)
