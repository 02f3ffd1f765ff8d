"""What must come out, worked out again from the records alone, in another way than the worker's.

Shares no code with decoder and fold: JSON by the standard library, the contract read once more by hand,
every bar kept as the list of its trades and summed up anew for each version, sizes in decimals.
"""

from __future__ import annotations

import json
import re
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
LATENESS = 2 * SECOND
HORIZON = 300 * SECOND

#: longer values are not examined for what is wrong with them
EXAMINED_BYTES = 16_384
#: objects and arrays within each other, the outermost counted
DEPTH = 201
#: a minute ahead of the broker's receive time is still believed
AHEAD = 60 * SECOND
#: 1990 and 2100
TIMES = range(631_152_000 * SECOND, 4_102_444_800 * SECOND)

#: rules of the fields of a record, and which of them it needs
Kind = tuple[dict[str, Callable[[object], bool]], set[str]]
Kinds = Mapping[str | None, Kind]
#: symbol, start (ns), provider, feed
Source = tuple[str, int, str, str]


class Input(NamedTuple):
    """A record as the input topic holds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    """Milliseconds, from the broker; None: not known, but before now."""


class Version(NamedTuple):
    """One state of a bar: final, or provisional after its first ``revision`` trades."""

    symbol: str
    ts: int
    provider: str
    feed: str
    revision: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trade_count: int
    is_final: bool = True

    @property
    def source(self) -> Source:
        """The bar that this is a version of."""
        return self.symbol, self.ts, self.provider, self.feed

    @property
    def id(self) -> str:
        """As the topic's header has it."""
        source = f"{self.provider}.{self.feed}" if self.feed else self.provider
        kind = "r" if self.is_final else "p"
        return f"{self.symbol}|1m|{self.ts}|{source}|{kind}{self.revision}"


@dataclass(slots=True)
class Bar:
    """All trades of one bar, in record order: those on time, then those that came late."""

    source: Source
    partition: int
    times: array[int] = field(default_factory=lambda: array("q"))
    prices: array[float] = field(default_factory=lambda: array("d"))
    sizes: array[float] = field(default_factory=lambda: array("d"))
    on_time: int = 0
    closed: bool = False

    def after(self, count: int, revision: int, *, is_final: bool = True) -> Version:
        """Return the bar of its first ``count`` trades."""
        times, prices, sizes = self.times[:count], self.prices[:count], self.sizes[:count]
        # of equal times the first record opens and the last one closes
        first = min(range(count), key=lambda i: (times[i], i))
        last = max(range(count), key=lambda i: (times[i], i))
        volume = sum(map(_billionths, sizes)) / 1_000_000_000
        money = 0.0
        for price, size in zip(prices, sizes, strict=True):
            money += price * size
        low, high = min(prices), max(prices)
        # an average lies between the extremes, whatever rounding says
        vwap = sorted((low, money / volume, high))[1]
        return Version(
            *self.source,
            revision,
            prices[first],
            high,
            low,
            prices[last],
            volume,
            vwap,
            count,
            is_final,
        )

    def finals(self) -> list[Version]:
        """Return every final version: the bar as it closed, then one for each late trade."""
        if not self.closed:
            return []
        # a bar that only late trades made begins with the first of them
        shortest = self.on_time or 1
        return [self.after(n, n - shortest) for n in range(shortest, len(self.times) + 1)]


@dataclass(slots=True)
class Truth:
    """Everything that must have come out when all records are stored."""

    bars: dict[Source, Bar] = field(default_factory=dict)
    versions: dict[str, tuple[int, Version]] = field(default_factory=dict)
    """Final ones by id: (partition, version). Which provisional ones there are depends on the wall clock."""
    dead: dict[tuple[int, int], str] = field(default_factory=dict)
    """(partition, offset) of each dead letter, and its reason."""
    inputs: dict[tuple[int, int], Input] = field(default_factory=dict)
    """The dead ones, as they were."""
    records: int = 0
    trades: int = 0
    """That are counted in a bar."""
    clocks: int = 0

    @property
    def open_trades(self) -> int:
        """Trades in bars that no record has closed."""
        return sum(len(bar.times) for bar in self.bars.values() if not bar.closed)

    def table(self, ranks: Mapping[str, int]) -> dict[tuple[str, int], Version]:
        """Return the row of each (symbol, start): the best source's last final version."""
        rows: dict[tuple[str, int], Version] = {}
        for _, version in self.versions.values():
            place = version.symbol, version.ts
            held = rows.get(place)
            if held is None or order(version, ranks) > order(held, ranks):
                rows[place] = version
        return rows


def order(version: Version, ranks: Mapping[str, int]) -> tuple[int, bytes, bytes, bool, int]:
    """Return what decides which of two versions stays in the table."""
    provider, feed = version.provider, version.feed
    number = rank(provider, feed, ranks)
    return number, provider.encode(), feed.encode(), version.is_final, version.revision


def coverage(feed: str) -> str:
    """Return whose trades come by a feed: of the consolidated tape, of IEX alone, of the provider itself."""
    return {"sip": "consolidated", "iex": "iex"}.get(feed, "")


def rank(provider: str, feed: str, ranks: Mapping[str, int]) -> int:
    """Return the rank of bars made of the trades of a feed: one exchange alone is below everything else."""
    return 2 * ranks.get(provider, 0) - (16_384 if coverage(feed) == "iex" else 0)


def work_out(records: Iterable[Input], lateness_ns: int = LATENESS, horizon_ns: int = HORIZON) -> Truth:
    """Return the truth about an input topic.

    Args:
        records: each partition's in the order of its offsets, from its very beginning.
        lateness_ns: a bar closes when the partition's event time is so far beyond its end.
        horizon_ns: for so long after that a trade revises it.
    """
    truth = Truth()
    newest: defaultdict[int, int] = defaultdict(int)
    bars = truth.bars
    for record in records:
        truth.records += 1
        said = read(record.value, record.timestamp)
        if isinstance(said, str):
            _die(truth, record, said)
            continue
        if said.get("type") == "discontinuity":  # says nothing of what time it is
            continue
        at = said["ts_event"]
        now = newest[record.partition]
        if at > now:
            now = newest[record.partition] = at
        if "type" in said:
            truth.clocks += 1
            continue
        start = at // MINUTE * MINUTE
        closes = start + MINUTE + lateness_ns
        if now >= closes + horizon_ns:
            _die(truth, record, "expired")
            continue
        source = (said["symbol"], start, said["provider"], said.get("feed", ""))
        bar = bars.get(source)
        if bar is None:
            bar = bars[source] = Bar(source, record.partition)
        assert bar.partition == record.partition, f"{source} is keyed to two partitions"
        bar.times.append(at)
        bar.prices.append(said["price"])
        bar.sizes.append(said["size"])
        bar.on_time += now < closes
        truth.trades += 1
    for bar in bars.values():
        bar.closed = newest[bar.partition] >= bar.source[1] + MINUTE + lateness_ns
        for version in bar.finals():
            truth.versions[version.id] = (bar.partition, version)
    return truth


def _die(truth: Truth, record: Input, reason: str) -> None:
    place = record.partition, record.offset
    truth.dead[place] = reason
    truth.inputs[place] = record


_EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)


def _billionths(size: float) -> int:
    return int(_EXACT.multiply(Decimal(size), Decimal(SECOND)).to_integral_value(context=_EXACT))


def read(value: bytes | None, timestamp: int | None, kinds: Kinds | None = None) -> dict[str, Any] | str:
    """Return the fields of a tick or, with a ``type``, of what stands beside ticks; else the reason why not.

    Args:
        value: of the record.
        timestamp: of the record, as in `Input`.
        kinds: what the topic may hold; None: what the topic of trades may.
    """
    if not value:
        return "empty"
    reason, said = "schema", None
    try:
        said = _parse(value)
    except ValueError:
        reason = "deserialize"
    if said is None or not _conforms(said, kinds or OF_TRADES):
        return "too_large" if len(value) > EXAMINED_BYTES else reason
    if said.get("type") in ("cancel", "correction"):
        return "correction"
    received = time.time_ns() if timestamp is None else timestamp * 1_000_000  # noqa: TID251 - a bound
    return "future" if said["ts_event"] > received + AHEAD else said


_loads = json.JSONDecoder().decode
_ESCAPE = re.compile(r"\\[^u]")
_PAIR = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _parse(value: bytes) -> Any:
    if len(value) > DEPTH and value.count(b"[") + value.count(b"{") > DEPTH and _depth(value) > DEPTH:
        raise ValueError("too deep")
    text = value.decode()
    said = _loads(text)
    # Python takes half a surrogate pair for a character
    if "\\u" in text and _SURROGATE.search(_PAIR.sub("", _ESCAPE.sub("", text))):
        raise ValueError("half a surrogate pair")
    return said


def _depth(value: bytes) -> int:
    deepest = depth = 0
    for bracket in re.findall(rb"[\[{}\]]", re.sub(rb'"(\\.|[^"\\])*"', b"", value)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def word(pattern: str) -> Callable[[object], bool]:
    """Return the rule of a text."""
    matches = re.compile(pattern).fullmatch

    @lru_cache(65_536)
    def conforms(v: object) -> bool:
        return isinstance(v, str) and matches(v) is not None

    return conforms


def whole(span: range) -> Callable[[object], bool]:
    """Return the rule of a whole number."""
    return lambda v: type(v) is int and v in span


def number(least: float, most: float) -> Callable[[object], bool]:
    """Return the rule of a number."""
    # a number beyond every float is beyond `most` too; NaN compares false
    return lambda v: type(v) in (int, float) and least <= v <= most  # type: ignore[operator]


SOURCE: dict[str, Callable[[object], bool]] = {
    "provider": word("[a-z][a-z0-9_-]{0,31}"),
    "feed": word("|[a-z][a-z0-9_-]{0,31}"),
    "ts_event": whole(TIMES),
}
TRADE = SOURCE | {
    "symbol": word(r"[A-Z0-9^][A-Z0-9.:/=^+_#$&-]{0,31}"),
    "price": number(5e-324, 1e12),
    "size": number(1e-9, 1e12),
    "venue": word("[A-Za-z0-9._-]{0,16}"),
    "conditions": word("[ -~]{0,16}"),
    "tape": word("[A-Z]?"),
    "seq": whole(range(2**63)),
    "trade_id": word("[!-~]{0,64}"),
    "ts_recv": lambda v: v is None or whole(TIMES)(v),
}
CLOCK = SOURCE | {"type": lambda v: v == "clock"}
_AMENDMENT = {name: TRADE[name] for name in ("symbol", "venue", "tape", "ts_recv")} | {
    **SOURCE,
    "type": lambda v: True,
    "orig_id": TRADE["trade_id"],
    "orig_price": TRADE["price"],
    "orig_size": TRADE["size"],
}
_AMENDMENT_NEEDS = {"type", "symbol", "ts_event", "provider", "orig_price", "orig_size"}
_NEW = ("trade_id", "price", "size", "conditions")
DISCONTINUITY: Kind = (
    CLOCK | {"type": lambda v: True, "ts_from": SOURCE["ts_event"], "reason": word("[ -~]{1,200}")},
    {"type", "ts_event", "ts_from", "provider", "reason"},
)
CLOCKS: Kind = CLOCK, {"type", "ts_event", "provider"}
#: what ``type`` says -> what it is; None: a tick
OF_TRADES: Kinds = {
    None: (TRADE, {"symbol", "ts_event", "price", "size", "provider"}),
    "clock": CLOCKS,
    "cancel": (_AMENDMENT, _AMENDMENT_NEEDS),
    "correction": (
        _AMENDMENT | {name: TRADE[name] for name in _NEW},
        _AMENDMENT_NEEDS | {"price", "size"},
    ),
    "discontinuity": DISCONTINUITY,
}


def _conforms(said: object, kinds: Kinds) -> bool:
    if not isinstance(said, dict):
        return False
    kind = said.get("type")
    rules, needs = kinds.get(kind if isinstance(kind, str) else None, kinds[None])
    try:
        for name in needs:
            said[name]
        for name, v in said.items():
            if not rules[name](v):
                return False
    except (KeyError, TypeError):  # a field too few, a field too many, an array or object for a word
        return False
    return True
