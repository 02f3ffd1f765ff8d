"""Is what came out what must come out? One checker for every fault test; it names what is wrong.

tests/unit/test_invariants.py plants a loss, a double and an alteration of each kind, and this must find
them all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tests.oracle import Input, Source, Truth, Version, coverage, order, rank

#: of a kind of violation so many are told
TOLD = 5
MESSAGE_BYTES = 512
#: what a dead letter has besides the headers of its original, in this order
LETTER = (
    "dlq.id",
    "dlq.reason",
    "dlq.stage",
    "dlq.error.message",
    "dlq.orig.topic",
    "dlq.orig.partition",
    "dlq.orig.offset",
    "dlq.orig.timestamp",
    "dlq.orig.group",
    "dlq.first_failed_at",
    "dlq.app.version",
)
#: differs between two letters of one record
WHEN = "dlq.first_failed_at"

Headers = tuple[tuple[str, bytes | None], ...]


class Message(NamedTuple):
    """A record of an output topic."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def header(self, name: str) -> str:
        """Return the last header of this name, "" if there is none."""
        return next(((v or b"").decode() for n, v in reversed(self.headers) if n == name), "")


class Position(NamedTuple):
    """One partition at one moment; None: nobody has committed or stored yet."""

    partition: int
    committed: int | None
    stored: int | None
    end: int


class Dead(Protocol):
    """What must have ended as dead letters."""

    dead: dict[tuple[int, int], str]
    inputs: dict[tuple[int, int], Input]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out."""

    table: Sequence[Mapping[str, Any]]
    """Rows of candles_intraday, ``ts`` in nanoseconds."""
    candles: Sequence[Message]
    """Each partition's in the order of its offsets."""
    dead_letters: Sequence[Message]
    positions: Sequence[Position]
    """Samples, in the order in which they were taken."""
    stored: Mapping[int, int]
    """Position of each partition in the database at the end."""
    ends: Mapping[int, int]


def violations(
    truth: Truth, outcome: Outcome, *, topic: str, group: str, ranks: Mapping[str, int] | None = None
) -> list[str]:
    """Return every violation found, at most `TOLD` of a kind; empty if all is as it must be.

    Args:
        truth: of the records of the input topic.
        outcome: what the workers made of them.
        topic: the input topic.
        group: of the workers.
        ranks: of the providers that have one; the higher wins.
    """
    ranks = ranks or {}
    kinds = (
        _table(truth, outcome.table, ranks),
        _counts(truth, outcome),
        _candles(truth, outcome.candles),
        dead_letters(truth, outcome.dead_letters, topic, group),
        positions(outcome.positions),
        ends(outcome.stored, outcome.ends),
    )
    return [line for kind in kinds for line in few(kind)]


def few(lines: Iterator[str]) -> Iterator[str]:
    """Yield the first of a kind, and how many more there are."""
    told = 0
    for told, line in enumerate(lines, 1):
        if told <= TOLD:
            yield line
    if told > TOLD:
        yield f"... and {told - TOLD} more of this kind"


def candle_of(version: Version) -> dict[str, Any]:
    """Return the value of a version on the topic."""
    return {
        "symbol": version.symbol,
        "interval": "1m",
        "ts_event": version.ts,
        "open": version.open,
        "high": version.high,
        "low": version.low,
        "close": version.close,
        "volume": version.volume,
        "vwap": version.vwap,
        "trade_count": version.trade_count,
        "provider": version.provider,
        "feed": version.feed,
        "rule": "all_trades.v1",
        "revision": version.revision,
        "is_final": version.is_final,
    }


def row_of(version: Version, ranks: Mapping[str, int]) -> dict[str, Any]:
    """Return the row of a version in the table."""
    return {
        "symbol": version.symbol,
        "interval": "1m",
        "ts": version.ts,
        "o": version.open,
        "h": version.high,
        "l": version.low,
        "c": version.close,
        "v": version.volume,
        "vwap": version.vwap,
        "trade_count": version.trade_count,
        "provider": version.provider,
        "feed": version.feed,
        "coverage": coverage(version.feed),
        "adjustment": "raw",
        "rule": "all_trades.v1",
        "as_of": None,
        "provider_rank": rank(version.provider, version.feed, ranks),
        "revision": version.revision,
        "is_final": version.is_final,
    }


def _table(truth: Truth, table: Sequence[Mapping[str, Any]], ranks: Mapping[str, int]) -> Iterator[str]:
    finals = truth.table(ranks)
    seen = set()
    for row in table:
        place = row["symbol"], row["ts"]
        if place in seen:
            yield f"table: {place} is there twice"
        seen.add(place)
        wanted = finals.get(place)
        if not row["is_final"]:
            provisional = _provisional(truth, (*place, row["provider"], row["feed"]), row["revision"])
            # the wall clock may have stored it; a final version of an equal or better source would have won
            if provisional and (wanted is None or order(provisional, ranks) > order(wanted, ranks)):
                wanted = provisional
        if wanted is None:
            yield f"table: {place} should not be there"
            continue
        wrong = [
            f"{column} is {row[column]!r}, must be {value!r}"
            for column, value in row_of(wanted, ranks).items()
            if row[column] != value
        ]
        if wrong:
            yield f"table: {place} {'; '.join(wrong)}"
    for place in finals.keys() - seen:
        yield f"table: {place} is missing"


def _provisional(truth: Truth, source: Source, trades: int) -> Version | None:
    """Return the bar as it was when it had so many trades and was still open; None if it never was."""
    bar = truth.bars.get(source)
    if bar is None or not 1 <= trades <= bar.on_time:
        return None
    return bar.after(trades, trades, is_final=False)


def _counts(truth: Truth, outcome: Outcome) -> Iterator[str]:
    """Check by addition alone: every record is in a bar, a dead letter or a clock record."""
    last: dict[str, tuple[int, int]] = {}
    for message in outcome.candles:
        bar, _, version = message.header("id").rpartition("|")
        if version.startswith("r"):
            candle = json.loads(message.value or b"{}")
            last[bar] = max(last.get(bar, (-1, 0)), (candle["revision"], candle["trade_count"]))
    counted = sum(count for _, count in last.values())
    dead = len({m.header("dlq.id") for m in outcome.dead_letters})
    if counted + dead + truth.clocks + truth.open_trades != truth.records:
        yield (
            f"counts: {truth.records} records, but {counted} trades in bars, {truth.open_trades} in open "
            f"bars, {dead} dead letters, {truth.clocks} clock records"
        )


def _candles(truth: Truth, messages: Iterable[Message]) -> Iterator[str]:
    contents: dict[str, Message] = {}
    revisions: dict[Source, int] = {}
    for message in messages:
        name = message.header("id")
        if name in contents:
            if contents[name] != message:
                yield f"candles: {name} was published twice, with different content"
            continue
        contents[name] = message
        candle = json.loads(message.value or b"{}")
        source: Source = candle["symbol"], candle["ts_event"], candle["provider"], candle["feed"]
        wanted: Version | None
        if candle["is_final"]:
            _, wanted = truth.versions.get(name, (0, None))
            if candle["revision"] != revisions.get(source, -1) + 1:
                yield f"candles: {name} came after r{revisions.get(source)}"
            revisions[source] = candle["revision"]
        else:
            wanted = _provisional(truth, source, candle["revision"])
        if wanted is None or wanted.id != name:
            yield f"candles: {name} should not be there"
            continue
        if candle != candle_of(wanted):
            yield f"candles: {name} is {candle}, must be {candle_of(wanted)}"
        partition = truth.bars[source].partition
        if (message.partition, message.key) != (partition, wanted.symbol.encode()):
            yield f"candles: {name} is in partition {message.partition} with key {message.key!r}"
    for name in truth.versions.keys() - contents.keys():
        yield f"candles: {name} is missing"


def dead_letters(truth: Dead, messages: Iterable[Message], topic: str, group: str) -> Iterator[str]:
    """Yield what is wrong with dead letters: each poison once, as it was, with what we say of it."""
    expected = {_letter_id(topic, place, group): place for place in truth.dead}
    seen: dict[str, Message] = {}
    for message in messages:
        name = message.header("dlq.id")
        if name not in expected:
            where = f"{message.header('dlq.orig.partition')}, {message.header('dlq.orig.offset')}"
            yield f"dead letters: {name} of ({where}) should not be there ({message.header('dlq.reason')})"
            continue
        place = expected[name]
        if _timeless(seen.setdefault(name, message)) != _timeless(message):
            yield f"dead letters: {place} is there twice, with different content"
        for complaint in _letter(truth.inputs[place], truth.dead[place], message, topic, group):
            yield f"dead letters: {place} {complaint}"
    for name in expected.keys() - seen.keys():
        yield f"dead letters: {expected[name]} is missing ({truth.dead[expected[name]]})"


def _letter_id(topic: str, place: tuple[int, int], group: str) -> str:
    return hashlib.sha256(f"{topic}|{place[0]}|{place[1]}|{group}".encode()).hexdigest()


def _timeless(message: Message) -> Message:
    return message._replace(headers=tuple(header for header in message.headers if header[0] != WHEN))


def _letter(original: Input, reason: str, message: Message, topic: str, group: str) -> Iterator[str]:
    if (message.value, message.key) != (original.value, original.key):
        yield "has other bytes than the original"
    count = len(original.headers)
    if message.headers[:count] != original.headers:
        yield "has other headers than the original"
    if tuple(name for name, _ in message.headers[count:]) != LETTER:
        yield f"has the headers {[name for name, _ in message.headers[count:]]} besides"
    if message.partition != original.partition:
        yield f"is in partition {message.partition}"
    wanted = {
        "dlq.reason": reason,
        "dlq.stage": "fold" if reason == "expired" else "decode",
        "dlq.orig.topic": topic,
        "dlq.orig.partition": str(original.partition),
        "dlq.orig.offset": str(original.offset),
        "dlq.orig.group": group,
    }
    if original.timestamp is not None:
        wanted["dlq.orig.timestamp"] = str(original.timestamp)
    for name, value in wanted.items():
        if message.header(name) != value:
            yield f"has {name} {message.header(name)!r}, must be {value!r}"
    said = message.header("dlq.error.message")
    if not (said.isprintable() and 0 < len(said.encode()) <= MESSAGE_BYTES):
        yield f"says {said!r}"


def positions(samples: Iterable[Position]) -> Iterator[str]:
    """Yield where positions were not committed <= stored <= end, or went back."""
    before: dict[int, int] = {}
    for p in samples:
        if p.committed is not None and p.committed > (p.stored or 0):
            yield f"positions: partition {p.partition} has committed {p.committed}, stored {p.stored}"
        if p.stored is not None:
            if p.stored > p.end:
                yield f"positions: partition {p.partition} has stored {p.stored}, ends at {p.end}"
            if p.stored < before.get(p.partition, 0):
                yield f"positions: partition {p.partition} went back to {p.stored} from {before[p.partition]}"
            before[p.partition] = p.stored
        elif p.partition in before:
            yield f"positions: partition {p.partition} went back to nothing from {before[p.partition]}"


def ends(stored: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[str]:
    """Yield the partitions that are not stored up to their ends."""
    for partition, end in ends.items():
        if stored.get(partition, 0) != end:
            yield f"positions: partition {partition} ends at {end}, stored {stored.get(partition)}"
