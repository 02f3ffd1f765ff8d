"""Is what came of raw quotes what must come of them? It names what is wrong.

``tests/unit/test_quote_invariants.py`` plants faults of each kind, and this must find them all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tests.invariants import Message, Position, dead_letters, ends, few, positions
from tests.oracle import rank
from tests.quote_oracle import Marker, Quote, QuoteTruth, best

CONTENT_TYPE = ("content-type", b"application/json")
#: between two of one symbol by the clock of their records; by the wall clock, once a symbol is quiet
PACE_MS, QUIET_MS = 250, 500
#: symbol, number
Name = tuple[str, int]


@dataclass(frozen=True, slots=True)
class QuoteOutcome:
    """What came out; each of it is gone through once."""

    rows: Iterable[Mapping[str, Any]]
    """Of quotes_l1: `ts_us` in microseconds for `ts`."""
    stream: Iterable[Message]
    """Of md.quotes.v1, each partition's in the order of its offsets."""
    latest: Iterable[tuple[Message, int]]
    """Of md.quotes.latest.v1, as far as compaction has left it, with LogAppendTimes in milliseconds."""
    dead_letters: Iterable[Message]
    positions: Sequence[Position]
    stored: Mapping[int, int]
    ends: Mapping[int, int]
    handovers: int = 0
    """How often a partition may have got another owner."""


def quote_violations(truth: QuoteTruth, outcome: QuoteOutcome, *, topic: str, group: str) -> list[str]:
    """Return every violation found, a few of a kind; empty if all is as it must be.

    Args:
        truth: of the records of the input topic.
        outcome: what the workers made of them.
        topic: the input topic.
        group: of the workers.
    """
    quotes = truth.quotes
    kinds = (
        table(quotes, outcome.rows),
        stream(truth, outcome.stream),
        latest(quotes, outcome.latest, outcome.handovers),
        dead_letters(truth, outcome.dead_letters, topic, group),
        positions(outcome.positions),
        ends(outcome.stored, outcome.ends),
    )
    return [line for kind in kinds for line in few(kind)]


def table(quotes: Mapping[Name, Quote], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the table: every quote is one row of it."""
    seen = set()
    for row in rows:
        name = row["symbol"], row["n"]
        if name in seen:
            yield f"table: {name} is there twice"
        seen.add(name)
        wanted = quotes.get(name)
        if wanted is None:
            yield f"table: {name} should not be there"
            continue
        expected = wanted.row() | {"provider_rank": quote_rank(wanted)}
        wrong = [
            f"{column} is {row[column]!r}, must be {value!r}"
            for column, value in expected.items()
            if row[column] != value
        ]
        if wrong:
            yield f"table: {name} {'; '.join(wrong)}"
    for name in quotes.keys() - seen:
        yield f"table: {name} is missing"


def quote_rank(quote: Quote) -> int:
    """Return the rank of a quote, with PROVIDER_RANK unset: a provider's own, unlike bars made of trades."""
    return rank(quote.provider, quote.feed, {}) + 1


def stream(truth: QuoteTruth, messages: Iterable[Message]) -> Iterator[str]:
    """Yield what is wrong with the stream: after its repeats are dropped it is all there, in order."""
    seen: dict[str, int] = {}
    found: defaultdict[int, list[str]] = defaultdict(list)
    by_id = {out.id: (partition, out) for partition, outs in truth.emitted.items() for out in outs}
    for message in messages:
        name, content = message.header("id"), hash(message)
        if name in seen:
            if seen[name] != content:
                yield f"stream: {name} was published twice, with different content"
            continue
        seen[name] = content
        found[message.partition].append(name)
        partition, wanted = by_id.get(name, (0, None))
        if wanted is None:
            yield f"stream: {name} should not be there: {message.value!r}"
            continue
        if message.partition != partition:
            yield f"stream: {name} is in partition {message.partition}, not in {partition}"
        yield from (f"stream: {name} {complaint}" for complaint in _message(message, wanted))
    for partition, outs in truth.emitted.items():
        expected = [out.id for out in outs]
        if found[partition] == expected:
            continue
        missing = [name for name in expected if name not in seen]
        if missing:
            yield f"stream: partition {partition} lacks {len(missing)}, first {missing[0]}"
            continue
        pairs = zip_longest(found[partition], expected, fillvalue="nothing")
        is_there, should_be = next((a, b) for a, b in pairs if a != b)
        yield f"stream: partition {partition} has {is_there} in the place of {should_be}"


def _message(message: Message, wanted: Quote | Marker) -> Iterator[str]:
    quote = isinstance(wanted, Quote)
    key = wanted.symbol.encode() if isinstance(wanted, Quote) else None
    if message.key != key:
        yield f"has the key {message.key!r}"
    told = json.loads(message.value or b"{}")
    if told != wanted.value():
        yield f"is {told}, must be {wanted.value()}"
    schema = b"quote.v1" if quote else b"quote-marker.v1"
    if message.headers != (CONTENT_TYPE, ("schema", schema), ("id", wanted.id.encode())):
        yield f"has the headers {message.headers}"


def latest(
    quotes: Mapping[Name, Quote], messages: Iterable[tuple[Message, int]], handovers: int
) -> Iterator[str]:
    """Yield what is wrong with the latest view: the best quotes, seldom enough, never back in time."""
    by_symbol: defaultdict[str, list[Quote]] = defaultdict(list)
    for quote in quotes.values():
        by_symbol[quote.symbol].append(quote)
    bests = {symbol: list(best(each)) for symbol, each in by_symbol.items()}
    allowed = {quote.id for each in bests.values() for quote in each}
    shown: defaultdict[str, list[tuple[Quote, int]]] = defaultdict(list)
    for message, at_ms in messages:
        symbol, _, number = message.header("id").rpartition("|")
        wanted = quotes.get((symbol, int(number or 0)))
        if wanted is None:
            yield f"latest: {symbol}|{number} is no quote of the stream"
            continue
        yield from (f"latest: {wanted.id} {complaint}" for complaint in _message(message, wanted))
        if wanted.id not in allowed:
            yield f"latest: {wanted.id} of {wanted.provider} was not the best"
        before = shown[symbol][-1][0] if shown[symbol] else wanted
        if wanted.ts_event < before.ts_event:
            ago = (before.ts_event - wanted.ts_event) / 1e6
            yield f"latest: {wanted.id} came after {before.id}, which is {ago:.3f} ms later"
        if wanted != before or not shown[symbol]:
            shown[symbol].append((wanted, at_ms))
    for symbol, each in bests.items():
        last = shown[symbol][-1][0].id if shown[symbol] else "nothing"
        if last != each[-1].id:
            yield f"latest: {last} stands for {symbol}, must be {each[-1].id}"
        if shown[symbol]:
            yield from _too_many(symbol, shown[symbol], handovers)


def _too_many(symbol: str, shown: Sequence[tuple[Quote, int]], handovers: int) -> Iterator[str]:
    """Yield a complaint if there are more than either clock allows: that of the records, that of the wall."""
    (first, began_ms), (last, ended_ms) = shown[0], shown[-1]
    most = (last.received_ms - first.received_ms) // PACE_MS + (ended_ms - began_ms) // QUIET_MS
    # a new owner does not know what the one before has shown last; the ends of both spans count, too
    most += 4 + 2 * handovers
    if len(shown) > most:
        yield f"latest: {len(shown)} were shown of {symbol}, at most {most} should be"
