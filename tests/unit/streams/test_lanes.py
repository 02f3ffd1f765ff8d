"""What a lane makes of the rows of its parts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from domain.quotes import PlacedMarker
from schemas.quote import L1Quote, Marker
from schemas.topics import QUOTES_RAW
from sinks.database import Database
from sinks.quotes import Packed
from streams.batcher import Part
from streams.lanes import QuoteLane, quote_message
from tests.unit.streams.consumers import tenure

TP3 = TP(QUOTES_RAW.name, 3)
LANE = QuoteLane(cast(Any, SimpleNamespace()), cast(Database, None))


class PackingWriter:
    """Packs rows as the list of their numbers."""

    def pack(self, rows: list[L1Quote]) -> bytes:
        return b"%r" % [row.n for row in rows]


def quote(n: int, symbol: str = "AAPL") -> L1Quote:
    return L1Quote(symbol, 1_700_000_040_000_000_000 + n, n, "polygon", bid=1.5)


def marker(at: int, offset: int) -> PlacedMarker:
    return PlacedMarker(at, str(offset), Marker(1_700_000_040_000_000_000, "mute", "polygon"))


def ids(rows: list[L1Quote], markers: list[PlacedMarker]) -> list[bytes]:
    part = Part(tenure(TP3, 0), 9, rows=rows, markers=markers)
    return [dict(headers)["id"] for _, _, headers in LANE.messages(part)]


def test_a_quote_is_published_with_its_key_schema_and_id():
    key, value, headers = quote_message(quote(7, "XBT/USDT"))
    assert key == b"XBT/USDT"
    assert value == (
        b'{"symbol":"XBT/USDT","ts_event":1700000040000000007,"n":7,"provider":"polygon","bid":1.5}'
    )
    assert dict(headers) == {
        "content-type": b"application/json",
        "schema": b"quote.v1",
        "id": b"XBT/USDT|7",
    }


def test_the_id_is_that_of_the_quote():
    assert dict(quote_message(quote(12))[2])["id"].decode() == quote(12).id


def test_a_marker_has_no_key_and_a_schema_and_id_of_its_own():
    part = Part[L1Quote](tenure(TP3, 0), 9, markers=[marker(0, 41)])
    ((key, value, headers),) = LANE.messages(part)
    assert key is None
    assert value == b'{"type":"marker","ts_event":1700000040000000000,"reason":"mute","provider":"polygon"}'
    assert dict(headers) == {
        "content-type": b"application/json",
        "schema": b"quote-marker.v1",
        "id": b"marker|3|41",
    }


def test_markers_stand_where_they_belong():
    rows = [quote(1), quote(2), quote(3)]
    first, second, third = b"AAPL|1", b"AAPL|2", b"AAPL|3"
    assert ids(rows, []) == [first, second, third]
    assert ids(rows, [marker(0, 5)]) == [b"marker|3|5", first, second, third]
    assert ids(rows, [marker(3, 5)]) == [first, second, third, b"marker|3|5"]
    found = ids(rows, [marker(1, 5), marker(1, 6), marker(2, 8)])
    assert found == [first, b"marker|3|5", b"marker|3|6", second, b"marker|3|8", third]


def test_the_rows_of_parts_go_with_what_was_packed_of_each_when_it_was_published():
    lane = QuoteLane(cast(Any, SimpleNamespace()), cast(Database, None))
    lane.writer = cast(Any, PackingWriter())
    parts = [Part(tenure(TP3, 0), 9, rows=[quote(n), quote(n + 1)]) for n in (1, 5)]
    parts.append(Part(tenure(TP3, 0), 9, latest=[quote(6)]))
    for part in parts[:2]:
        lane.prepare(part)
    rows = lane.rows(parts)
    assert [row.n for row in rows] == [1, 2, 5, 6]
    assert isinstance(rows, Packed)
    assert [*rows.bodies] == [b"[1, 2]", b"[5, 6]", b""]
