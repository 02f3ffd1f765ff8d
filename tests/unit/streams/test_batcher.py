"""From parts to the moves of one transaction."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from sinks.offsets import Move
from streams.batcher import Part, _moves
from streams.lanes import candle_message
from tests.unit.sinks.bars import bar
from tests.unit.streams.consumers import TICKS, piece, tenure

TP0, TP1 = TP(TICKS, 0), TP(TICKS, 1)


def part(owner, next_offset, **facts) -> Part[Any]:
    owed = piece(owner, owner.stored, next_offset)
    return Part(owner, next_offset, piece=facts.pop("piece", owed), **facts)


def test_the_parts_of_a_partition_become_one_move_to_the_last_of_them():
    zero, one = tenure(TP0, 10), tenure(TP1, 70)
    assert _moves([part(zero, 12), part(one, 71), part(zero, 19)]) == {TP0: Move(10, 19), TP1: Move(70, 71)}


def test_a_move_carries_the_latest_snapshot_there_is():
    zero = tenure(TP0, 10)
    parts = [
        part(zero, 12, resume_offset=12, state=b"old"),
        part(zero, 15, resume_offset=15, state=b"new"),
        part(zero, 19),
    ]
    assert _moves(parts) == {TP0: Move(10, 19, 15, b"new")}


def test_what_was_stored_already_is_not_moved_back():
    assert _moves([part(tenure(TP0, 30), 12)]) == {TP0: Move(30, 30)}


def test_what_the_wall_clock_publishes_moves_nothing():
    """It may stand in the queue before the part of a chunk that is folded already."""
    zero = tenure(TP0, 10)
    zero.folded = 25
    assert _moves([part(zero, 25, piece=None)]) == {TP0: Move(10, 10)}


def test_a_candle_is_published_with_its_key_schema_and_id():
    key, value, headers = candle_message(bar(symbol="XBT/USDT", provider="kraken", revision=2))
    assert key == b"XBT/USDT"
    assert value is not None
    assert b'"revision":2' in value
    assert dict(headers) == {
        "content-type": b"application/json",
        "schema": b"candle.v1",
        "id": b"XBT/USDT|1m|1700000040000000000|kraken|r2",
    }
