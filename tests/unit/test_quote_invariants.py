"""The checker of quotes finds what it is there for: each kind of damage is planted, one at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from tests.invariants import Message, Position
from tests.oracle import Input
from tests.quote_invariants import CONTENT_TYPE, QuoteOutcome, quote_rank, quote_violations
from tests.quote_oracle import Marker, Quote, QuoteTruth, best, work_out_quotes
from tests.quotes_market import START_NS, QuotesMarket, lines
from tests.unit.test_invariants import letter_of

#: dead letters are made by a helper that knows this topic and group
TOPIC, GROUP, PARTITIONS = "md.trades.v1", "workers", 3


@dataclass(slots=True)
class Ledger:
    """An outcome that can be damaged."""

    rows: list[dict[str, Any]]
    stream: list[Message]
    latest: list[tuple[Message, int]]
    dead_letters: list[Message]
    positions: list[Position]
    stored: dict[int, int]
    ends: dict[int, int]

    def check(self, truth: QuoteTruth) -> list[str]:
        outcome = QuoteOutcome(
            self.rows, self.stream, self.latest, self.dead_letters, self.positions, self.stored, self.ends
        )
        return quote_violations(truth, outcome, topic=TOPIC, group=GROUP)


def message_of(partition: int, out: Quote | Marker) -> Message:
    quote = isinstance(out, Quote)
    key = out.symbol.encode() if isinstance(out, Quote) else None
    schema = b"quote.v1" if quote else b"quote-marker.v1"
    headers = (CONTENT_TYPE, ("schema", schema), ("id", out.id.encode()))
    return Message(partition, key, json.dumps(out.value()).encode(), headers)


def changed(message: Message, **fields: object) -> Message:
    return message._replace(value=json.dumps(json.loads(message.value or b"{}") | fields).encode())


@pytest.fixture(scope="module")
def truth() -> QuoteTruth:
    market = QuotesMarket(
        1_500, rate=750, symbols=20, seed=5, partitions=PARTITIONS, poison=0.01, every_poison=False
    )
    ends: Counter[int] = Counter()
    records = []
    for i, line in enumerate(lines(market)):
        partition = sum(line.key or b"") % PARTITIONS if line.partition is None else line.partition
        received = START_NS // 1_000_000 + i * 4 // 3 + 5
        records.append(Input(partition, ends[partition], line.key, line.value, line.headers, received))
        ends[partition] += 1
    return work_out_quotes(records)


@pytest.fixture
def ledger(truth: QuoteTruth) -> Ledger:
    stream = [message_of(p, out) for p, outs in truth.emitted.items() for out in outs]
    latest, now_ms = [], START_NS // 1_000_000
    for p, outs in truth.emitted.items():
        quotes = [out for out in outs if isinstance(out, Quote)]
        for symbol in {quote.symbol for quote in quotes}:
            for quote in best(q for q in quotes if q.symbol == symbol):
                now_ms += 500
                latest.append((message_of(p, quote), now_ms))
    return Ledger(
        [q.row() | {"provider_rank": quote_rank(q)} for q in truth.quotes.values()],
        stream,
        latest,
        [letter_of(truth.inputs[place], reason) for place, reason in truth.dead.items()],
        [Position(0, None, None, 0), Position(0, None, 10, 20), Position(0, 10, 30, 30)],
        {0: 30, 1: 5},
        {0: 30, 1: 5},
    )


def test_finds_nothing_where_nothing_is_wrong(truth: QuoteTruth, ledger: Ledger) -> None:
    assert ledger.check(truth) == []


def test_takes_repeats(truth: QuoteTruth, ledger: Ledger) -> None:
    ledger.stream[50:50] = ledger.stream[20:50]
    ledger.dead_letters.append(ledger.dead_letters[3])
    ledger.latest.insert(6, ledger.latest[5])
    assert ledger.check(truth) == []


def _marker(ledger: Ledger) -> int:
    return next(i for i, m in enumerate(ledger.stream) if m.key is None)


def _lose_marker(ledger: Ledger) -> None:
    del ledger.stream[_marker(ledger)]


def _move_marker(ledger: Ledger) -> None:
    at = _marker(ledger)
    ledger.stream.insert(at + 1, ledger.stream.pop(at))


def _swap(ledger: Ledger) -> None:
    ledger.stream[10], ledger.stream[11] = ledger.stream[11], ledger.stream[10]


def _set(kind: str, at: int, **fields: object) -> Callable[[Ledger], None]:
    def plant(ledger: Ledger) -> None:
        messages: list[Message] = getattr(ledger, kind)
        messages[at] = changed(messages[at], **fields)

    return plant


def _replace(kind: str, at: int, **parts: Any) -> Callable[[Ledger], None]:
    def plant(ledger: Ledger) -> None:
        messages: list[Message] = getattr(ledger, kind)
        messages[at] = messages[at]._replace(**parts)

    return plant


def _row(**columns: Any) -> Callable[[Ledger], None]:
    return lambda ledger: ledger.rows[7].update(columns)


def _go_back(ledger: Ledger) -> None:
    times = [(m.key, json.loads(m.value or b"{}")["ts_event"]) for m, _ in ledger.latest]
    at = next(i for i, (a, b) in enumerate(pairwise(times)) if a[0] == b[0] and a[1] < b[1])
    ledger.latest[at], ledger.latest[at + 1] = ledger.latest[at + 1], ledger.latest[at]


def _forget_symbol(ledger: Ledger) -> None:
    key = ledger.latest[0][0].key
    ledger.latest[:] = [m for m in ledger.latest if m[0].key != key]


def _too_often(ledger: Ledger) -> None:
    at_ms = START_NS // 1_000_000
    ledger.latest[:] = [(message, at_ms) for message, _ in ledger.latest]


def _a_lesser_one(ledger: Ledger) -> None:
    is_best = {message.header("id") for message, _ in ledger.latest}
    lesser = next(m for m in ledger.stream if m.key and m.header("id") not in is_best)
    ledger.latest.insert(0, (lesser, 0))


def _change_latest(ledger: Ledger) -> None:
    message, at_ms = ledger.latest[4]
    ledger.latest[4] = changed(message, bid=1.5), at_ms


def _differing_repeat(ledger: Ledger) -> None:
    ledger.stream.append(changed(ledger.stream[4], bid=1.5))


PLANTS: dict[str, tuple[Callable[[Ledger], object], str]] = {
    "row_lost": (lambda ledger: ledger.rows.pop(), "is missing"),
    "row_doubled": (lambda ledger: ledger.rows.append(ledger.rows[3]), "there twice"),
    "row_invented": (lambda ledger: ledger.rows.append(ledger.rows[3] | {"n": 9_999}), "should not be there"),
    "row_flags": (_row(flags=31), "flags is 31"),
    "row_nanoseconds": (_row(ts_ns=START_NS + 1), "ts_ns is"),
    "row_time": (_row(ts_us=1), "ts_us is"),
    "row_bid": (_row(bid=1.5), "bid is 1.5"),
    "row_coverage": (_row(coverage="?"), "coverage is"),
    "row_rank": (_row(provider_rank=7), "provider_rank is 7"),
    "quote_lost": (lambda ledger: ledger.stream.pop(10), "lacks 1"),
    "quotes_swapped": (_swap, "in the place of"),
    "quote_invented": (
        lambda ledger: ledger.stream.append(
            ledger.stream[4]._replace(headers=(("id", b"AA0|9999"),)),
        ),
        "should not be there",
    ),
    "quote_changed": (_set("stream", 4, bid=1.5), "must be"),
    "quote_with_more_in_it": (_set("stream", 4, more=1), "must be"),
    "repeat_differs": (_differing_repeat, "with different content"),
    "quote_of_another_key": (_replace("stream", 4, key=b"MSFT"), "has the key"),
    "quote_in_another_partition": (_replace("stream", 4, partition=7), "is in partition 7"),
    "marker_lost": (_lose_marker, "lacks 1, first marker|"),
    "marker_moved": (_move_marker, "in the place of marker|"),
    "latest_goes_back": (_go_back, "ms later"),
    "latest_lacks_a_symbol": (_forget_symbol, "nothing stands for"),
    "latest_is_behind": (lambda ledger: ledger.latest.pop(), "must be"),
    "latest_too_often": (_too_often, "at most"),
    "latest_of_a_lesser_provider": (_a_lesser_one, "was not the best"),
    "latest_changed": (_change_latest, "must be"),
    "dead_letter_lost": (lambda ledger: ledger.dead_letters.pop(), "dead letters: "),
    "committed_beyond_stored": (
        lambda ledger: ledger.positions.append(Position(0, 31, 30, 40)),
        "has committed 31",
    ),
    "not_stored_to_the_end": (lambda ledger: ledger.stored.update({1: 4}), "ends at 5, stored 4"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_finds_what_was_planted(name: str, truth: QuoteTruth, ledger: Ledger) -> None:
    plant, said = PLANTS[name]
    plant(ledger)
    found = ledger.check(truth)
    assert any(said in line for line in found), found
