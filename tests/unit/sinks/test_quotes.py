"""Rows of quotes as the binary format of COPY has them; what the database makes of them: integration."""

from __future__ import annotations

from struct import unpack_from

from domain.rank import rank
from schemas.quote import L1Quote
from sinks.quotes import pack, sources, whole

SOURCE = sources(("polygon", "alpaca"))
TS = 1_700_000_040_123_456_789


def fields(packed: bytes) -> list[list[bytes | None]]:
    """Return the fields of each row, as the server reads them."""
    assert packed[:11] == b"PGCOPY\n\xff\r\n\0"
    at, rows = 19, []
    while (count := unpack_from(">h", packed, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (size,) = unpack_from(">i", packed, at)
            at += 4
            row.append(None if size == -1 else packed[at : at + size])
            at += max(size, 0)
        rows.append(row)
    assert len(packed) == at + 2
    return rows


def test_a_row_has_every_field_in_its_place():
    quote = L1Quote(
        "XBT/USDT", TS, 7, "alpaca", 1.5, 2.0, 1.25, 3.0, "iex", seq=9, flags=("crossed", "stale")
    )
    (found,) = fields(whole([pack([quote], SOURCE)]))
    row = [value for value in found if value is not None]
    symbol, ts, ts_ns, bid, bid_size, ask, ask_size, seq, n, flags, *source = row
    assert symbol == b"XBT/USDT"
    # microseconds since 2000, cut
    assert ts == ((TS // 1000) - 946_684_800_000_000).to_bytes(8, "big")
    assert ts_ns == TS.to_bytes(8, "big")
    assert [unpack_from(">d", value)[0] for value in (bid, bid_size, ask, ask_size)] == [1.5, 2.0, 1.25, 3.0]
    assert [int.from_bytes(value, "big") for value in (seq, n, flags)] == [9, 7, 1 + 8]
    number = rank("iex", 1, official=True).to_bytes(2, "big", signed=True)
    assert source == [b"alpaca", b"iex", b"iex", number]


def test_an_absent_side_is_null_and_nothing_else_is():
    one = L1Quote("A", TS, 1, "sim", bid=1.0, bid_size=2.0, flags=("one_sided",))
    without_size = L1Quote("A", TS, 2, "sim", bid=1.0, ask=2.0, ask_size=0.0)
    first, second = fields(whole([pack([one, without_size], SOURCE)]))
    assert [value is None for value in first] == [False] * 5 + [True] * 2 + [False] * 7
    assert [value is None for value in second] == [False] * 4 + [True] + [False] * 9


def test_nothing_is_a_copy_of_nothing():
    assert fields(whole([])) == fields(whole([pack([], SOURCE)])) == []


def test_it_does_not_matter_how_many_are_packed_at_a_time():
    rows = [L1Quote("A", TS + n, n, "sim", bid=1.0 + n) for n in range(5)]
    assert whole([pack(rows[:2], SOURCE), pack([], SOURCE), pack(rows[2:], SOURCE)]) == whole(
        [pack(rows, SOURCE)]
    )
