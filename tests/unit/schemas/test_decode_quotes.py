"""Chunks of quotes: a verdict depends on the record alone, and everything keeps its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decode_quotes import decode_chunk
from schemas.discontinuity import Discontinuity
from schemas.errors import Reason
from schemas.trade import ClockTick
from tests.poison import TS, a_clock
from tests.quote_poison import a_discontinuity, a_quote
from tests.unit.schemas.hostile import Record
from tests.unit.schemas.hostile_quotes import RECORDS

PROPERTY = settings(max_examples=150, deadline=None)
CHUNKS = st.lists(RECORDS, max_size=30)


def numbered(records: Sequence[Record]) -> list[Record]:
    return [Record(r.value, r.timestamp, offset) for offset, r in enumerate(records)]


def places(records: Sequence[Record]) -> dict[int, Any]:
    """Return what became of each record of a chunk, by its offset."""
    decoded = decode_chunk(records)
    quotes = list(zip(decoded.records, decoded.quotes, strict=True))
    found: dict[int, Any] = {record.offset: quote for record, quote in quotes}
    for record, poison in decoded.rejects:
        found[record.offset] = (poison.reason, poison.detail)
    for at, record, what in decoded.beside:
        assert record.offset not in found
        found[record.offset] = what
        # its place among the quotes is that of its record
        assert at == sum(r.offset < record.offset for r, _ in quotes)
    assert sorted(found) == [record.offset for record in records]
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
def test_each_alone_has_the_same_verdict(records: list[Record]) -> None:
    alone: dict[int, Any] = {}
    for record in numbered(records):
        alone |= places([record])
    assert alone == places(numbered(records))


@PROPERTY
@given(CHUNKS)
def test_the_order_of_records_is_kept(records: list[Record]) -> None:
    decoded = decode_chunk(numbered(records))
    assert [r.offset for r in decoded.records] == sorted(r.offset for r in decoded.records)
    assert [at for at, _, _ in decoded.beside] == sorted(at for at, _, _ in decoded.beside)


def test_what_is_beside_quotes() -> None:
    values = (
        a_clock(),
        a_quote(seq=1),
        a_discontinuity(),
        a_quote(seq=2, tape="9"),
        a_quote(seq=3),
        a_clock(),
    )
    decoded = decode_chunk(numbered([Record(value) for value in values]))
    assert [quote.seq for quote in decoded.quotes] == [1, 3]
    assert [(at, record.offset, type(what)) for at, record, what in decoded.beside] == [
        (0, 0, ClockTick),
        (1, 2, Discontinuity),
        (2, 5, ClockTick),
    ]
    assert [(record.offset, poison.reason) for record, poison in decoded.rejects] == [(3, Reason.SCHEMA)]
    assert len(decoded.clocks) == 2
    assert [gap.reason for gap in decoded.discontinuities] == ["connection lost"]


def test_a_trade_is_no_quote() -> None:
    value = b'{"symbol":"AAPL","ts_event":%d,"price":1.0,"size":1.0,"provider":"polygon"}' % TS
    ((_, poison),) = decode_chunk([Record(value)]).rejects
    assert poison.reason is Reason.SCHEMA
    assert "price" in poison.detail
