"""The worker's way with raw quotes, without its transport, against the oracle: in slices of any size."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise

import pytest

from domain.latest import Latest
from domain.quote_snapshot import dump, restore
from domain.quotes import QuoteBook
from schemas.decode_quotes import decode_chunk
from schemas.quote import L1Quote, encode_quote
from tests.oracle import Input
from tests.quote_oracle import PLACES, Quote, QuoteTruth, best, work_out_quotes
from tests.quote_poison import a_quote
from tests.quotes_market import START_NS, QuotesMarket, lines
from tests.unit.schemas.hostile import Record

PARTITIONS = 2
#: 26 seconds: some repeats come too late to be repeats
MARKET = QuotesMarket(26_000, rate=1_000, symbols=60, seed=9, partitions=PARTITIONS, poison=0.01)

Told = tuple[str, dict[str, object]]


@pytest.fixture(scope="module")
def inputs() -> list[Input]:
    """As a broker would have them that is as fast as the market, and sometimes hands on a few at once."""
    rnd = random.Random(9)
    ends: Counter[int] = Counter()
    records, now_ms = [], START_NS // 1_000_000
    for i, line in enumerate(lines(MARKET)):
        partition = sum(line.key or b"") % PARTITIONS if line.partition is None else line.partition
        if rnd.random() < 0.02:
            now_ms = START_NS // 1_000_000 + i + rnd.randrange(60)
        records.append(Input(partition, ends[partition], line.key, line.value, line.headers, now_ms))
        ends[partition] += 1
    # at the edges: a repeat 10 s after it was seen last, 8 s after the repeat, 10 s and a millisecond later
    few = [r for r in records[-3_000:-2_000] if r.partition == 0 and b'"ts_recv"' in (r.value or b"")]
    for later_ms in (20_000, 30_000, 38_000, 48_001, 58_002):
        for record in few:
            records.append(record._replace(offset=ends[0], timestamp=now_ms + later_ms))
            ends[0] += 1
    # stale by a nanosecond, and not
    now_ms += 60_000
    for age_ns in (5_000_000_001, 5_000_000_000):
        value = a_quote(symbol="EDGE", ts_event=now_ms * 1_000_000 - age_ns)
        records.append(Input(0, ends[0], b"EDGE", value, (), now_ms))
        ends[0] += 1
    # the better provider is silent for so long, and a millisecond more
    now_ms += 10_000
    for provider, later_ms in (("polygon", 0), ("alpaca", 5_000), ("alpaca", 5_001), ("polygon", 5_002)):
        at_ms = now_ms + later_ms
        value = a_quote(symbol="EDGE", provider=provider, ts_event=at_ms * 1_000_000)
        records.append(Input(0, ends[0], b"EDGE", value, (), at_ms))
        ends[0] += 1
    return records


@pytest.fixture(scope="module")
def truth(inputs: list[Input]) -> QuoteTruth:
    return work_out_quotes(inputs)


def told(
    partition: int, book: QuoteBook, records: list[Record]
) -> tuple[list[Told], dict[tuple[int, int], str]]:
    """Decode and fold a slice; return what would be published, by id, and the dead."""
    decoded = decode_chunk(records)
    published = [
        (out.id, json.loads(encode_quote(out)))
        if isinstance(out, L1Quote)
        else (out.id(partition), json.loads(encode_quote(out.marker)))
        for out in book.fold(decoded, records).in_order()
    ]
    return published, {(partition, r.offset): poison.reason.value for r, poison in decoded.rejects}


@pytest.mark.parametrize("seed", range(3))
def test_slices_of_any_size_give_the_truth(inputs: list[Input], truth: QuoteTruth, seed: int) -> None:
    rnd = random.Random(seed)
    dead: dict[tuple[int, int], str] = {}
    for partition in range(PARTITIONS):
        records = [Record(i.value, i.timestamp or 0, i.offset) for i in inputs if i.partition == partition]
        cuts = sorted(
            {0, len(records), *(rnd.randrange(len(records)) for _ in range(rnd.choice((5, 50, 2_000))))}
        )
        book, found = QuoteBook(), []
        for begin, end in pairwise(cuts):
            published, died = told(partition, book, records[begin:end])
            found += published
            dead |= died
        assert found == [(out.id, out.value()) for out in truth.emitted[partition]]
    assert dead == truth.dead
    assert truth.duplicates > 1_000


@pytest.mark.parametrize("seed", range(8))
def test_restarts_change_nothing(inputs: list[Input], truth: QuoteTruth, seed: int) -> None:
    """A snapshot of one moment, a position of a later one: what is published after it is the rest."""
    rnd = random.Random(seed)
    records = [Record(i.value, i.timestamp or 0, i.offset) for i in inputs if i.partition == 0]
    book, latest, at, found = QuoteBook(), Latest(PLACES), 0, []
    for _ in range(30):
        stored = rnd.randrange(at, len(records))
        snapshot = rnd.randrange(at, stored + 1)
        for begin, end in slices(rnd, at, snapshot):
            found += told(0, book, records[begin:end])[0]
        state, resume = dump(book, latest, snapshot), book.resume_offset(snapshot)
        for begin, end in slices(rnd, snapshot, stored):
            found += told(0, book, records[begin:end])[0]
        restored = restore(state, resume, stored, PLACES)
        book, latest, at = restored.book, restored.latest, stored
        assert book.stands_at == snapshot
        for begin, end in slices(rnd, restored.offset, snapshot):
            book.warm(decode_chunk(records[begin:end]), records[begin:end])
        for begin, end in slices(rnd, snapshot, stored):
            told(0, book, records[begin:end])
    for begin, end in slices(rnd, at, len(records)):
        found += told(0, book, records[begin:end])[0]
    assert found == [(out.id, out.value()) for out in truth.emitted[0]]


def slices(rnd: random.Random, begin: int, end: int) -> list[tuple[int, int]]:
    cuts = [begin, end, *(rnd.randrange(begin, end) for _ in range(rnd.randrange(5)) if begin < end)]
    return [(a, b) for a, b in pairwise(sorted(cuts)) if a < b]


def test_the_best_view_is_the_best(inputs: list[Input], truth: QuoteTruth) -> None:
    """Which quotes it shows, and when it changes to another provider, is told by the records alone."""
    for partition in range(PARTITIONS):
        records = [Record(i.value, i.timestamp or 0, i.offset) for i in inputs if i.partition == partition]
        book, latest, shown = QuoteBook(), Latest(PLACES), list[str]()
        for begin in range(0, len(records), 500):
            chunk = records[begin : begin + 500]
            folded = book.fold(decode_chunk(chunk), chunk)
            for quote, time_ms in zip(folded.quotes, folded.times_ms, strict=True):
                latest.offer([quote], [time_ms])
                if latest.get(quote.symbol) is quote:
                    shown.append(quote.id)
        quotes = [out for out in truth.emitted[partition] if isinstance(out, Quote)]
        bests = {q.id for s in {q.symbol for q in quotes} for q in best(q for q in quotes if q.symbol == s)}
        assert shown == [q.id for q in quotes if q.id in bests]
