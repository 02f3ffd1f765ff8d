"""Where to go on in a partition, and when not to."""

from __future__ import annotations

from typing import Any, cast

import pytest
from faust.types import TP

from domain import snapshot
from domain.candles import Book, Patience
from domain.clock import SystemClock
from schemas.errors import PositionLost
from schemas.trade import Trade
from sinks.offsets import OffsetSink, Stored
from streams.positions import Positions, check, starting_at
from streams.tenure import Tenure

TP0 = TP("md.trades.v1", 3)
MINUTE = 60_000_000_000


class FakeDatabase:
    """Holds rows; a partition that was never seen becomes what the caller says."""

    def __init__(self, rows: dict[TP, Stored]) -> None:
        self.rows, self.budget = rows, 0.0

    async def patiently(self, budget, load, unseen):
        self.budget = budget
        return {tp: self.rows.setdefault(tp, stored) for tp, stored in unseen.items()}


def restore(stored: Stored) -> tuple[str, int]:
    return f"state at {stored.resume_offset}", stored.resume_offset


async def load(rows, bounds, former=None) -> Tenure:
    positions = Positions(cast(Any, FakeDatabase(rows)), OffsetSink("candles", "c1"), SystemClock(), 1.0)
    tenures = await positions.load({TP0: bounds}, former or {}, {TP0.topic: restore})
    return tenures[TP0]


@pytest.mark.parametrize(
    ("next_offset", "resume", "bounds", "complaint"),
    [
        (10, 10, (0, 10), None),
        (10, 0, (0, 10), None),
        (0, 0, (0, 0), None),
        (11, 11, (0, 10), "11 is stored but the partition ends at 10: was the topic re-created?"),
        (10, 4, (5, 10), "must go on at 4 but the partition begins at 5: retention passed it"),
        (10, 5, (5, 10), None),
    ],
)
def test_a_position_outside_its_partition_is_refused(next_offset, resume, bounds, complaint):
    if complaint is None:
        check(TP0, next_offset, resume, bounds)
        return
    with pytest.raises(PositionLost) as lost:
        check(TP0, next_offset, resume, bounds)
    assert complaint in str(lost.value)
    assert str(lost.value).startswith("md.trades.v1[3]: ")
    assert "tapeflow offsets" in str(lost.value)
    assert lost.value.exit_code == 6


async def test_a_takeover_folds_again_in_silence_from_where_the_state_was_taken():
    tenure = await load({TP0: Stored(100, 80, b"")}, (0, 500))
    assert (tenure.stored, tenure.delivered, tenure.folded, tenure.suppress) == (100, 80, 80, 100)
    assert tenure.state == "state at 80"


async def test_an_unseen_partition_is_read_from_its_beginning():
    assert (await load({}, (0, 7))).delivered == 0
    assert (await load({}, (5, 7))).delivered == 5


@pytest.mark.parametrize(
    ("stored", "folded", "kept"),
    [(100, 100, True), (100, 120, False), (90, 100, False), (90, 90, False)],
)
async def test_the_state_of_a_former_tenure_is_kept_only_if_it_is_that_of_the_stored_position(
    stored, folded, kept
):
    former = Tenure(TP0, stored, folded, folded, 0, "mine", 0.0)
    tenure = await load({TP0: Stored(100, 80, b"")}, (0, 500), {TP0: former})
    assert tenure is not former
    assert tenure.state == ("mine" if kept else "state at 80")
    assert (tenure.delivered, tenure.folded) == ((100, 100) if kept else (80, 80))
    assert tenure.stored == 100


async def test_a_position_beyond_the_end_is_refused_at_assignment():
    with pytest.raises(PositionLost):
        await load({TP0: Stored(100, 80, b"")}, (0, 99))
    with pytest.raises(PositionLost):
        await load({TP0: Stored(100, 80, b"")}, (81, 500))


def test_starting_at_the_very_beginning_knows_everything():
    stored = starting_at(0)
    assert (stored.next_offset, stored.resume_offset) == (0, 0)
    assert not snapshot.restore(stored.state, 0, Patience()).book.jumped


def test_starting_amid_the_log_publishes_no_part_of_a_bar():
    stored = starting_at(50)
    restored = snapshot.restore(stored.state, stored.resume_offset, Patience())
    assert restored.offset == 50
    book: Book = restored.book
    start = 1_700_000_000_000_000_000 // MINUTE * MINUTE
    first = start + 30_000_000_000
    trades = [Trade("AAPL", first + i * 10_000_000_000, 10.0, 1.0, "a") for i in range(24)]
    folded = book.fold(trades, 50)
    assert folded.expired, "the trades of the bar in which reading starts"
    assert folded.bars
    assert min(bar.ts_event for bar in folded.bars) > start
    assert {bar.trade_count for bar in folded.bars} == {6}, "whole minutes only"


@pytest.mark.parametrize(
    ("bounds", "reads_from"),
    [((0, 500), 80), ((85, 500), 85), ((90, 500), 90)],
    ids=["all_is_there", "retention_took_some", "retention_took_all_that_warms"],
)
async def test_records_that_only_warm_a_state_up_are_done_without_where_retention_took_them(
    bounds, reads_from
):
    database = cast(Any, FakeDatabase({TP0: Stored(100, 80, b"")}))
    positions = Positions(database, OffsetSink("quotes", "c1"), SystemClock(), 1.0, stands_at=lambda _: 90)
    tenure = (await positions.load({TP0: bounds}, {}, {TP0.topic: restore}))[TP0]
    assert (tenure.delivered, tenure.folded, tenure.suppress) == (reads_from, reads_from, 100)


async def test_records_that_a_state_needs_are_not_done_without():
    database = cast(Any, FakeDatabase({TP0: Stored(100, 80, b"")}))
    positions = Positions(database, OffsetSink("quotes", "c1"), SystemClock(), 1.0, stands_at=lambda _: 90)
    with pytest.raises(PositionLost):
        await positions.load({TP0: (91, 500)}, {}, {TP0.topic: restore})
