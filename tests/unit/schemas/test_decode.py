"""Chunks: a verdict depends on the record alone, and everything keeps its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.chunk import FUTURE_NS, MAX_EXAMINED_BYTES
from schemas.decode import decode_chunk, examine
from schemas.discontinuity import Discontinuity
from schemas.errors import Poison, Reason
from schemas.trade import ClockTick, Trade
from tests.poison import TS, a_clock, a_tick
from tests.unit.schemas.hostile import RECORDS, Record

PROPERTY = settings(max_examples=150, deadline=None)
TS_MS = TS // 1_000_000
CHUNKS = st.lists(RECORDS, max_size=30)


def numbered(records: Sequence[Record]) -> list[Record]:
    return [Record(r.value, r.timestamp, offset) for offset, r in enumerate(records)]


def places(records: Sequence[Record]) -> dict[int, Any]:
    """Return what became of each record of a chunk, by its offset."""
    decoded = decode_chunk(records)
    assert len(decoded.trades) == len(decoded.records)
    found: dict[int, Any] = {}
    for trade, record in zip(decoded.trades, decoded.records, strict=True):
        found[record.offset] = trade
    for record, poison in decoded.rejects:
        found[record.offset] = (poison.reason, poison.detail)
    # clock records carry a place instead of an offset: before which trade of the chunk
    merged: list[Trade | ClockTick] = list(decoded.trades)
    for position, clock in reversed(decoded.clocks):
        merged.insert(position, clock)
    remaining = [record.offset for record in records if not isinstance(found.get(record.offset), tuple)]
    assert len(merged) == len(remaining)
    for offset, item in zip(remaining, merged, strict=True):
        assert found.setdefault(offset, item) is item
    return found


@PROPERTY
@given(CHUNKS, st.lists(st.integers(0, 30), max_size=5))
def test_slices_do_not_matter(records: list[Record], cuts: list[int]) -> None:
    records = numbered(records)
    sliced: dict[int, Any] = {}
    begin = 0
    for end in sorted({*cuts, len(records)}):
        sliced |= places(records[begin:end])
        begin = max(begin, end)
    assert sliced == places(records)


@PROPERTY
@given(CHUNKS)
def test_every_record_has_one_place(records: list[Record]) -> None:
    records = numbered(records)
    assert sorted(places(records)) == list(range(len(records)))


@PROPERTY
@given(CHUNKS)
def test_the_order_of_records_is_kept(records: list[Record]) -> None:
    decoded = decode_chunk(numbered(records))
    assert [r.offset for r in decoded.records] == sorted(r.offset for r in decoded.records)
    positions = [position for position, _ in decoded.clocks]
    assert positions == sorted(positions)
    assert all(0 <= position <= len(decoded.trades) for position in positions)


@PROPERTY
@given(CHUNKS)
def test_each_alone_has_the_same_verdict(records: list[Record]) -> None:
    records = numbered(records)
    alone: dict[int, Any] = {}
    for record in records:
        alone |= places([record])
    assert alone == places(records)


def test_nothing_gives_nothing() -> None:
    decoded = decode_chunk(list[Record]())
    assert (decoded.trades, decoded.clocks, decoded.rejects) == ([], [], [])


def test_clock_records_keep_their_place_among_trades() -> None:
    values = [a_clock(), a_tick(seq=1), a_tick(seq=2), a_clock(), a_clock(), a_tick(seq=3), a_clock()]
    decoded = decode_chunk([Record(value) for value in values])
    assert [trade.seq for trade in decoded.trades] == [1, 2, 3]
    assert [position for position, _ in decoded.clocks] == [0, 2, 2, 3]


def test_clock_records_keep_their_place_when_trades_before_them_go() -> None:
    values = [a_tick(seq=1, venue="X/Y"), a_tick(seq=2), a_clock(), a_tick(seq=3, tape="1"), a_clock()]
    decoded = decode_chunk([Record(value) for value in values])
    assert [trade.seq for trade in decoded.trades] == [2]
    assert [position for position, _ in decoded.clocks] == [1, 1]


@pytest.mark.parametrize("make", [a_tick, a_clock])
@pytest.mark.parametrize(("ahead_ns", "accepted"), [(FUTURE_NS, True), (FUTURE_NS + 1, False)])
def test_a_minute_ahead_of_the_broker_is_believed(make: Any, ahead_ns: int, accepted: bool) -> None:
    decoded = decode_chunk([Record(make(ts_event=TS_MS * 1_000_000 + ahead_ns), TS_MS)])
    if accepted:
        assert not decoded.rejects
    else:
        ((_, poison),) = decoded.rejects
        assert poison.reason is Reason.FUTURE


def test_the_future_is_judged_by_each_records_own_time() -> None:
    """Where producers set record timestamps, they need not ascend."""
    ahead = a_tick(ts_event=TS + FUTURE_NS)
    records = [Record(ahead, TS_MS + 5, 0), Record(ahead, TS_MS - 1, 1), Record(ahead, TS_MS, 2)]
    decoded = decode_chunk(records)
    assert [record.offset for record in decoded.records] == [0, 2]
    assert [(record.offset, poison.reason) for record, poison in decoded.rejects] == [(1, Reason.FUTURE)]


def test_a_trade_from_the_future_with_a_bad_symbol_has_one_reason() -> None:
    decoded = decode_chunk([Record(a_tick(symbol="aapl", ts_event=TS + 2 * FUTURE_NS), TS_MS)])
    assert [poison.reason for _, poison in decoded.rejects] == [Reason.SCHEMA]


class TestExamine:
    def test_a_tombstone_and_no_bytes_differ_in_their_words(self) -> None:
        tombstone, no_bytes = examine(None), examine(b"")
        assert isinstance(tombstone, Poison)
        assert isinstance(no_bytes, Poison)
        assert tombstone.reason is no_bytes.reason is Reason.EMPTY
        assert tombstone.detail != no_bytes.detail

    @pytest.mark.parametrize(("size", "reason"), [(0, Reason.SCHEMA), (1, Reason.TOO_LARGE)])
    def test_examines_up_to_a_size(self, size: int, reason: Reason) -> None:
        value = a_tick(price=-1).ljust(MAX_EXAMINED_BYTES + size)
        verdict = examine(value)
        assert isinstance(verdict, Poison)
        assert verdict.reason is reason

    @pytest.mark.parametrize("depth", [150, 190, 250, 1_000, 5_000])
    def test_nesting_of_any_depth_is_poison_and_nothing_worse(self, depth: int) -> None:
        for value in (
            a_tick()[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}",
            b'{"x":' + b"[" * depth,
            b'{"x":' * (depth // 2),
        ):
            assert isinstance(examine(value), Poison)

    def test_names_the_field_and_counts_the_rest(self) -> None:
        verdict = examine(a_tick(price=-1, size=-1))
        assert isinstance(verdict, Poison)
        assert verdict.detail == "price: Input should be greater than 0 (and 1 more)"

    def test_says_nothing_of_the_payload(self) -> None:
        verdict = examine(a_tick(price="my-password"))
        assert isinstance(verdict, Poison)
        assert "my-password" not in verdict.detail

    def test_the_type_decides_what_a_record_is_held_against(self) -> None:
        clock = examine(a_clock(price=1))
        trade = examine(a_tick(type="trade"))
        assert isinstance(clock, Poison)
        assert isinstance(trade, Poison)
        assert clock.detail.startswith("price: ")
        assert trade.detail.startswith("type: ")

    def test_of_doubled_names_the_last_counts(self) -> None:
        assert isinstance(examine(b'{"type":1,' + a_clock()[1:]), ClockTick)
        assert isinstance(examine(a_clock()[:-1] + b',"type":1}'), Poison)


class TestBesideTrades:
    """Records of the trades' topic that are neither trade nor clock."""

    GAP: ClassVar[dict[str, Any]] = {
        "type": "discontinuity",
        "ts_event": TS,
        "ts_from": TS - 5_000_000_000,
        "provider": "alpaca",
        "reason": "connection lost",
    }
    CANCEL: ClassVar[dict[str, Any]] = {
        "type": "cancel",
        "symbol": "AAPL",
        "ts_event": TS,
        "provider": "alpaca",
        "orig_id": "96921",
        "orig_price": 126.55,
        "orig_size": 100.0,
    }

    def test_a_discontinuity_is_noted_and_moves_nothing(self) -> None:
        values = [a_tick(), json.dumps(self.GAP).encode(), a_tick()]
        decoded = decode_chunk([Record(value, TS_MS, at) for at, value in enumerate(values)])
        assert decoded.discontinuities == [Discontinuity(**self.GAP)]
        assert [record.offset for record in decoded.records] == [0, 2]
        assert (len(decoded.trades), decoded.clocks, decoded.rejects) == (2, [], [])

    @pytest.mark.parametrize("field", ["ts_from", "provider", "reason"])
    def test_a_discontinuity_is_whole_or_poison(self, field: str) -> None:
        verdict = examine(json.dumps({k: v for k, v in self.GAP.items() if k != field}).encode())
        assert isinstance(verdict, Poison)
        assert verdict.detail == f"{field}: Field required"

    def test_a_discontinuity_may_not_lie_in_the_future(self) -> None:
        ahead = json.dumps(self.GAP | {"ts_event": TS + 2 * FUTURE_NS}).encode()
        decoded = decode_chunk([Record(ahead, TS_MS)])
        assert [poison.reason for _, poison in decoded.rejects] == [Reason.FUTURE]

    @pytest.mark.parametrize(
        "amendment",
        [CANCEL, CANCEL | {"type": "correction", "price": 126.5, "size": 100.0, "trade_id": "96930"}],
        ids=lambda a: str(a["type"]),
    )
    def test_an_amendment_is_kept_as_a_dead_letter_of_its_own_reason(self, amendment: dict[str, Any]) -> None:
        verdict = examine(json.dumps(amendment).encode())
        assert isinstance(verdict, Poison)
        assert verdict.reason is Reason.CORRECTION
        assert verdict.detail == f"type: a {amendment['type']} of trade 96921"
        broken = examine(json.dumps(amendment | {"orig_price": -1}).encode())
        assert isinstance(broken, Poison)
        assert broken.reason is Reason.SCHEMA
        assert broken.detail.startswith("orig_price: ")
