"""A feed's entries as records: topic, partition, bytes that the contract accepts, and their order."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner

from schemas.correction import TradeCancel, TradeCorrection
from schemas.discontinuity import Discontinuity
from schemas.quote import QuoteTick, RawQuote
from schemas.topics import QUOTES_RAW, TRADES, TopicSpec
from schemas.trade import ClockTick, Trade, TradeTick
from streams.feed_records import Clock, FeedRecords, Hole, Ticks

NOW = 1_764_000_000_000_000_000
PARTITIONS = 5
TRADE = Trade("AAPL", NOW, 1.5, 2.0, "alpaca", "sip", "V", "@I", "C", 7, "id", NOW + 1)
QUOTE = RawQuote(symbol="AAPL", ts_event=NOW, provider="alpaca", bid=1.5, bid_size=100.0, ts_recv=NOW + 1)
CANCEL = TradeCancel(
    type="cancel", symbol="AAPL", ts_event=NOW, provider="alpaca", orig_price=1.5, orig_size=2.0
)
CORRECTION = TradeCorrection(
    type="correction",
    symbol="AAPL",
    ts_event=NOW,
    provider="alpaca",
    orig_price=1.5,
    orig_size=2.0,
    price=1.6,
    size=2.0,
)
CLOCK = ClockTick(type="clock", ts_event=NOW, provider="alpaca", feed="sip")
GAP = Discontinuity(type="discontinuity", ts_event=NOW, ts_from=NOW - 1, provider="alpaca", reason="mute")


def physical(spec: TopicSpec) -> str:
    return f"p.{spec.name}"


def records(*specs: TopicSpec) -> FeedRecords:
    return FeedRecords({spec.name: PARTITIONS for spec in specs or (TRADES, QUOTES_RAW)}, physical)


def home(symbol: str) -> int:
    numbers = list(range(PARTITIONS))
    return int(DefaultPartitioner()(symbol.encode(), numbers, numbers))


def test_ticks_are_keyed_by_symbol_and_are_what_the_contract_says() -> None:
    at = home("AAPL")
    found = records().messages([Ticks([TRADE, QUOTE, CANCEL, CORRECTION])])
    assert set(found) == {("p.md.trades.v1", at), ("p.md.quotes.raw.v1", at)}
    trade, cancel, correction = found["p.md.trades.v1", at]
    (quote,) = found["p.md.quotes.raw.v1", at]
    assert [m[0] for m in (trade, cancel, correction, quote)] == [b"AAPL"] * 4
    bodies = [m[1] or b"" for m in (trade, cancel, correction, quote)]
    assert TradeTick.model_validate_json(bodies[0]).model_dump() == {
        name: getattr(TRADE, name) for name in TRADE.__struct_fields__
    }
    assert TradeCancel.model_validate_json(bodies[1]) == CANCEL
    assert TradeCorrection.model_validate_json(bodies[2]) == CORRECTION
    assert QuoteTick.model_validate_json(bodies[3]).model_dump() == {
        name: getattr(QUOTE, name) for name in QUOTE.__struct_fields__
    }
    schemas = [dict(m[2])["schema"] for m in (trade, cancel, correction, quote)]
    assert schemas == [b"trade-tick.v1", b"trade-cancel.v1", b"trade-correction.v1", b"quote-tick.v1"]
    assert {dict(m[2])["content-type"] for m in (trade, quote)} == {b"application/json"}


def test_a_clock_and_a_hole_go_to_every_partition_between_the_ticks_in_order() -> None:
    at = home("AAPL")
    found = records().messages([Ticks([TRADE]), Clock(CLOCK), Hole(GAP), Ticks([TRADE])])
    assert set(found) == {(f"p.{s.name}", p) for s in (TRADES, QUOTES_RAW) for p in range(PARTITIONS)}
    here = [dict(m[2])["schema"] for m in found["p.md.trades.v1", at]]
    assert here == [b"trade-tick.v1", b"clock-tick.v1", b"discontinuity.v1", b"trade-tick.v1"]
    elsewhere = found["p.md.quotes.raw.v1", (at + 1) % PARTITIONS]
    assert [m[0] for m in elsewhere] == [None, None]
    assert ClockTick.model_validate_json(elsewhere[0][1] or b"") == CLOCK
    assert Discontinuity.model_validate_json(elsewhere[1][1] or b"") == GAP


def test_a_hole_of_some_symbols_goes_to_their_partitions_alone() -> None:
    found = records().messages([Hole(GAP, ("AAPL", "MSFT"))])
    assert {p for _, p in found} == {home("AAPL"), home("MSFT")}
    assert {topic for topic, _ in found} == {"p.md.trades.v1", "p.md.quotes.raw.v1"}
    assert all(len(messages) == 1 for messages in found.values())


def test_a_feed_of_trades_alone_does_not_touch_the_quotes() -> None:
    found = records(TRADES).messages([Ticks([TRADE]), Clock(CLOCK), Hole(GAP, ("AAPL",))])
    assert {topic for topic, _ in found} == {"p.md.trades.v1"}
