"""A tape of raw quotes: records of one partition, drawn so that they repeat, overtake and expire often."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from domain.quotes import FoldedQuotes, PlacedMarker, QuoteBook
from schemas.decode_quotes import decode_chunk
from schemas.quote import L1Quote
from tests.unit.schemas.hostile import Record

#: 2023-11-14T22:14:00Z
START = 1_700_000_040_000_000_000
START_MS = START // 1_000_000

Out = L1Quote | PlacedMarker


def a_raw(at_s: float = 0.0, received_s: float | None = None, **changes: Any) -> Record:
    """Return a quote so many seconds after `START`, received then too if nothing is said."""
    fields = {
        "symbol": "AAPL",
        "ts_event": START + round(at_s * 1e9),
        "bid": 10.0,
        "bid_size": 100.0,
        "ask": 10.1,
        "ask_size": 200.0,
        "provider": "polygon",
    }
    received_ms = START_MS + round((at_s if received_s is None else received_s) * 1000)
    return Record(msgspec.json.encode(fields | changes), received_ms)


def a_hole(at_s: float = 0.0, **changes: Any) -> Record:
    """Return a discontinuity that ended so many seconds after `START`."""
    ts = START + round(at_s * 1e9)
    fields = {
        "type": "discontinuity",
        "ts_event": ts,
        "ts_from": ts - 1,
        "provider": "polygon",
        "reason": "mute",
    }
    return Record(msgspec.json.encode(fields | changes), ts // 1_000_000)


def a_beat(at_s: float = 0.0) -> Record:
    """Return a clock record so many seconds after `START`."""
    ts = START + round(at_s * 1e9)
    fields = {"type": "clock", "ts_event": ts, "provider": "polygon"}
    return Record(msgspec.json.encode(fields), ts // 1_000_000)


def numbered(records: Iterable[Record], offset: int = 0) -> list[Record]:
    """Return records with offsets."""
    return [Record(r.value, r.timestamp, offset + i) for i, r in enumerate(records)]


def play(book: QuoteBook, records: Sequence[Record], cuts: Iterable[int] = ()) -> FoldedQuotes:
    """Fold numbered records in slices that end before the given offsets; markers count over all of them."""
    whole = FoldedQuotes()
    for part in slices(records, cuts):
        folded = book.fold(decode_chunk(part), part)
        whole.markers += [placed._replace(at=placed.at + len(whole.quotes)) for placed in folded.markers]
        whole.quotes += folded.quotes
        whole.times_ms += folded.times_ms
        whole.duplicates += folded.duplicates
    return whole


def warm(book: QuoteBook, records: Sequence[Record], cuts: Iterable[int] = ()) -> None:
    """Warm a book with numbered records, in slices that end before the given offsets."""
    for part in slices(records, cuts):
        book.warm(decode_chunk(part), part)


def slices(records: Sequence[Record], cuts: Iterable[int]) -> Iterable[Sequence[Record]]:
    """Yield the slices of numbered records that end before the given offsets."""
    if not records:
        return
    first = records[0].offset
    begin = 0
    for end in sorted({cut - first for cut in cuts if 0 < cut - first < len(records)} | {len(records)}):
        yield records[begin:end]
        begin = end


_FEW = st.sampled_from
_QUOTES = st.builds(
    lambda at_s, fields: a_raw(at_s, **fields),
    st.integers(0, 3),
    st.fixed_dictionaries(
        {"symbol": _FEW(("AAPL", "MSFT")), "provider": _FEW(("polygon", "iex"))},
        optional={
            "seq": _FEW((0, 0, 1, 2)),
            "bid": _FEW((None, 0, 10.0, 10.1, 10.2)),
            "ask_size": _FEW((None, 0, 200)),
            "conditions": _FEW(("", "R")),
            "ask_venue": _FEW(("", "V")),
        },
    ),
)
_RECORDS = st.one_of(
    *[_QUOTES] * 6,
    st.builds(a_hole, st.integers(0, 3)),
    st.builds(a_beat, st.integers(0, 3)),
    st.just(Record(b"poison")),
)
#: how long after the record before; a broker's clock may go back
_STEPS_MS = _FEW((0, 0, 0, 1, 40, 101, 900, 2_500, 5_000, 9_999, 10_000, 10_001, 25_000))
_ANY_STEPS_MS = _STEPS_MS | _FEW((-1, -120, -3_000, -12_000))


def _timed(items: list[tuple[Record, int]]) -> list[Record]:
    now_ms = START_MS + 3_000
    records: list[Record] = []
    for record, step_ms in items:
        now_ms += step_ms
        records.append(Record(record.value, now_ms, len(records)))
    return records


#: the broker's clock never goes back
TAPES = st.lists(st.tuples(_RECORDS, _STEPS_MS), max_size=30).map(_timed)
#: it does
WILD_TAPES = st.lists(st.tuples(_RECORDS, _ANY_STEPS_MS), max_size=30).map(_timed)
CUTS = st.lists(st.integers(0, 30), max_size=5)
