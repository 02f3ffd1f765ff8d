"""The oracle of quotes against cases worked out by hand, and the simulated input against what it promises."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.oracle import Input, read
from tests.poison import TS, Specimen, a_clock
from tests.quote_oracle import OF_QUOTES, Quote, QuoteTruth, work_out_quotes
from tests.quote_poison import (
    HARMLESS_QUOTES,
    QUOTE_POISON,
    HarmlessQuote,
    a_discontinuity,
    a_quote,
    quote_without,
)
from tests.quotes_market import START_NS, QuotesMarket, lines

#: 20 ms after the event
NOW_MS = TS // 1_000_000 + 20
MARKET = QuotesMarket(40_000, rate=4_000, symbols=60, seed=3, partitions=3, every_poison=True)


def truth_of(*records: tuple[bytes | None, int]) -> QuoteTruth:
    return work_out_quotes(Input(0, i, b"AAPL", v, (), ms) for i, (v, ms) in enumerate(records))


def quotes_of(*records: tuple[bytes | None, int]) -> list[Quote]:
    return [out for out in truth_of(*records).emitted[0] if isinstance(out, Quote)]


@pytest.mark.parametrize("specimen", QUOTE_POISON, ids=lambda s: s.name)
def test_reads_poison(specimen: Specimen) -> None:
    assert read(specimen.value, NOW_MS + 86_400_000, OF_QUOTES) == specimen.reason.value


@pytest.mark.parametrize("harmless", HARMLESS_QUOTES, ids=lambda h: h.name)
def test_reads_what_is_harmless(harmless: HarmlessQuote) -> None:
    (quote,) = quotes_of((harmless.value, NOW_MS))
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == harmless.sides


def test_a_quote_as_it_is_told() -> None:
    (quote,) = quotes_of((a_quote(bid_venue="11", conditions="R", tape="C", seq=7, ts_recv=TS + 1), NOW_MS))
    assert quote.id == "AAPL|1"
    assert quote.value() == {
        "symbol": "AAPL",
        "n": 1,
        "ts_event": TS,
        "bid": 187.24,
        "bid_size": 200,
        "ask": 187.26,
        "ask_size": 100,
        "provider": "polygon",
        "feed": "sip",
        "bid_venue": "11",
        "conditions": "R",
        "tape": "C",
        "seq": 7,
        "ts_recv": TS + 1,
    }
    assert quote.row()["coverage"] == "consolidated"
    assert quote.row()["ts_us"] == TS // 1_000


def test_what_is_absent_is_not_told() -> None:
    (quote,) = quotes_of((quote_without("bid", "bid_size", "ask_size", "feed"), NOW_MS))
    told = {"symbol": "AAPL", "n": 1, "ts_event": TS, "ask": 187.26, "provider": "polygon"}
    assert quote.value() == told | {"flags": ["one_sided"]}


def test_a_size_of_zero_is_told() -> None:
    (quote,) = quotes_of((a_quote(bid_size=0), NOW_MS))
    assert quote.value()["bid_size"] == 0


@pytest.mark.parametrize(
    ("changes", "received_ms", "flags"),
    [
        ({"bid": 187.27}, NOW_MS, 1),
        ({"bid": 187.26}, NOW_MS, 2),
        ({"ask": None}, NOW_MS, 4),
        ({"bid": 0, "ask": None}, NOW_MS, 4),
        ({}, TS // 1_000_000 + 5_000, 0),
        ({}, TS // 1_000_000 + 5_001, 8),
        ({"bid": 187.27}, TS // 1_000_000 + 5_001, 9),
    ],
)
def test_flags(changes: dict[str, object], received_ms: int, flags: int) -> None:
    (quote,) = quotes_of((a_quote(**changes), received_ms))
    assert quote.flags == flags


def test_order_is_of_each_feed() -> None:
    before = {"ts_event": TS - 1}
    quotes = quotes_of(
        (a_quote(), NOW_MS),
        (a_quote(**before), NOW_MS),
        (a_quote(**before, feed=""), NOW_MS),
        (a_quote(**before, provider="alpaca"), NOW_MS),
        (a_quote(bid=1), NOW_MS),
        (a_quote(**before, symbol="MSFT"), NOW_MS),
    )
    assert [q.flags for q in quotes] == [0, 16, 0, 0, 0, 0]
    assert [q.id for q in quotes] == ["AAPL|1", "AAPL|2", "AAPL|3", "AAPL|4", "AAPL|5", "MSFT|1"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({}, {}, True),
        ({}, {"ts_recv": TS}, True),
        ({}, {"tape": "A"}, True),
        ({}, {"bid_size": 201}, False),
        ({}, {"conditions": "R"}, False),
        ({}, {"bid_venue": "11"}, False),
        ({}, {"ts_event": TS + 1}, False),
        ({}, {"provider": "alpaca"}, False),
        ({}, {"symbol": "MSFT"}, False),
        ({"bid": 0, "bid_size": 5}, {"bid": None, "bid_size": None}, True),
        ({"seq": 5}, {"seq": 5, "bid": 1}, True),
        ({"seq": 5}, {"seq": 6}, False),
        ({"seq": 5}, {}, False),
        ({"seq": 5}, {"seq": 5, "ts_event": TS + 1}, False),
    ],
)
def test_repeats(first: dict[str, object], second: dict[str, object], same: bool) -> None:
    truth = truth_of((a_quote(**first), NOW_MS), (a_quote(**second), NOW_MS))
    assert (truth.duplicates, len(truth.quotes)) == ((1, 1) if same else (0, 2))


def test_repeats_count_from_when_it_was_seen_last() -> None:
    at = [NOW_MS, NOW_MS + 10_000, NOW_MS + 20_000, NOW_MS + 30_001]
    assert [q.received_ms for q in quotes_of(*[(a_quote(), ms) for ms in at])] == [at[0], at[3]]


def test_markers_stand_among_the_quotes() -> None:
    truth = truth_of((a_quote(), NOW_MS), (a_discontinuity(feed=""), NOW_MS), (a_quote(bid=1), NOW_MS))
    assert [out.id for out in truth.emitted[0]] == ["AAPL|1", "marker|0|1", "AAPL|2"]
    (marker,) = truth.markers
    assert marker.value() == {
        "type": "marker",
        "ts_from": TS - 3_000_000_000,
        "ts_event": TS,
        "provider": "polygon",
        "reason": "connection lost",
    }


def test_clock_records_and_poison_leave_no_trace_among_quotes() -> None:
    truth = truth_of((a_clock(), NOW_MS), (a_quote(bid=-1), NOW_MS), (a_quote(), NOW_MS))
    assert (truth.records, truth.clocks, truth.dead) == (3, 1, {(0, 1): "schema"})
    assert [out.id for out in truth.emitted[0]] == ["AAPL|1"]
    assert [type(out) for out in truth.emitted[0]] == [Quote]


def test_refuses_a_symbol_in_two_partitions() -> None:
    with pytest.raises(AssertionError, match="two partitions"):
        work_out_quotes(Input(p, 0, b"AAPL", a_quote(), (), NOW_MS) for p in (0, 1))


@pytest.fixture(scope="module")
def inputs() -> list[Input]:
    """As a broker would have them that is as fast as the market."""
    ends: Counter[int] = Counter()
    found = []
    for at, line in enumerate(lines(MARKET)):
        partition = sum(line.key or b"") % 3 if line.partition is None else line.partition
        received = START_NS // 1_000_000 + int(at / MARKET.rate * 1_000) + 10
        found.append(Input(partition, ends[partition], line.key, line.value, line.headers, received))
        ends[partition] += 1
    return found


@pytest.fixture(scope="module")
def truth(inputs: list[Input]) -> QuoteTruth:
    return work_out_quotes(inputs)


class TestMarket:
    def test_the_same_market_is_the_same_records(self, inputs: list[Input]) -> None:
        again = [line.value for line in lines(MARKET)]
        assert [i.value for i in inputs] == again
        assert again != [line.value for line in lines(QuotesMarket(40_000, seed=4))]

    def test_has_everything_that_a_fault_test_should_meet(self, truth: QuoteTruth) -> None:
        quotes = list(truth.quotes.values())
        flags = Counter(flag for q in quotes for flag in (1, 2, 4, 8, 16) if q.flags & flag)
        assert min(flags[f] for f in (1, 2, 4, 8, 16)) > 50
        assert {(q.provider, q.feed) for q in quotes} == {
            ("polygon", "sip"),
            ("alpaca", "iex"),
            ("alpaca", "sip"),
            ("iex", "tiingo"),
            ("kraken", ""),
        }
        assert 0.008 < truth.duplicates / MARKET.quotes < 0.013
        assert len(truth.markers) == MARKET.holes * MARKET.partitions
        assert truth.clocks == 10 * MARKET.partitions
        behind = sum(q.flags & 16 > 0 for q in quotes) / len(quotes)
        assert 0.01 < behind < 0.5
        # two quotes of one nanosecond, by a feed without numbers
        same = Counter((q.symbol, q.ts_event, q.provider, q.feed, q.seq) for q in quotes)
        assert max(same.values()) >= 2
        # a bid of nothing, an ask of nothing, nothing at all; a size of zero
        assert {(q.bid is None, q.ask is None) for q in quotes} >= {
            (True, False),
            (False, True),
            (True, True),
        }
        assert any(q.bid_size == 0 for q in quotes)

    def test_has_every_kind_of_poison(self, inputs: list[Input], truth: QuoteTruth) -> None:
        sent = Counter(i.value for i in inputs)
        assert all(sent[s.value] for s in QUOTE_POISON)
        assert len(truth.dead) == len(QUOTE_POISON)

    def test_repeats_are_not_all_the_same_bytes(self, inputs: list[Input]) -> None:
        numbered = [i.value for i in inputs if i.value and b'"seq":' in i.value and b'"ts_recv":1' in i.value]
        seqs = [json.loads(value)["seq"] for value in numbered]
        assert len(set(seqs)) < len(set(numbered)) < len(numbered)
