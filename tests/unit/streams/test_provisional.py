"""What the wall clock publishes: open bars of quiet partitions that are caught up, each state once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from domain.candles import MINUTE_NS, Book, Patience
from schemas.trade import Trade
from streams.batcher import Part
from streams.provisional import Provisional
from streams.tenure import Tenure
from tests.unit.streams.clocks import SetClock

TP0 = TP("md.trades.v1", 0)
LATENESS_S = 2
START_S = 1_700_000_040


def trades(count: int, at_s: float = START_S) -> list[Trade]:
    return [Trade("AAPL", int(at_s * 1e9) + i, 10.0, 1.0, "polygon") for i in range(count)]


class App:
    """A worker with one partition, 5 records folded and stored, the last delivered at ``START_S``."""

    def __init__(self) -> None:
        self.clock = SetClock(START_S + 60 + LATENESS_S)
        self.end: int | None = 5
        self.parts: list[Part[Any]] = []
        book = Book(Patience(LATENESS_S * 1_000_000_000))
        book.fold(trades(5), 0)
        self.tenure = Tenure(TP0, 5, 5, 5, 0, SimpleNamespace(book=book), 0.0, delivered_at=START_S)
        self.tenures = {TP0: self.tenure}
        self.services = SimpleNamespace(
            pulse=SimpleNamespace(end=lambda tp: self.end), batcher=SimpleNamespace(put=self._put)
        )

    async def _put(self, parts: list[Part[Any]]) -> None:
        self.parts += parts


@pytest.fixture
async def app():
    return App()


@pytest.fixture
async def provisional(app):
    return Provisional(app)


async def test_a_bar_whose_interval_and_lateness_have_passed_is_published_as_not_final(app, provisional):
    await provisional._publish(TP0, app.tenure)
    (part,) = app.parts
    assert [(bar.is_final, bar.revision, bar.trade_count) for bar in part.rows] == [(False, 5, 5)]
    assert part.tenure is app.tenure
    assert part.piece is None, "nothing to acknowledge"
    assert (part.state, part.resume_offset, part.count) == (None, None, 0)
    assert app.tenure.state.book.windows, "the record order alone closes it"


async def test_each_state_is_published_once(app, provisional):
    await provisional._publish(TP0, app.tenure)
    await provisional._publish(TP0, app.tenure)
    assert len(app.parts) == 1
    app.tenure.state.book.fold(trades(1, START_S + 1), 5)
    app.tenure.folded = app.end = 6
    await provisional._publish(TP0, app.tenure)
    assert [part.rows[0].revision for part in app.parts] == [5, 6]


async def test_a_new_tenure_publishes_anew(app, provisional):
    await provisional._publish(TP0, app.tenure)
    again = Tenure(TP0, 5, 5, 5, 5, app.tenure.state, 0.0, delivered_at=START_S)
    await provisional._publish(TP0, again)
    assert [part.tenure for part in app.parts] == [app.tenure, again]


@pytest.mark.parametrize(
    "change",
    [
        lambda app: setattr(app.clock, "seconds", app.clock.seconds - 0.1),
        lambda app: setattr(app.tenure, "delivered_at", app.clock.seconds - 0.9),
        lambda app: setattr(app, "end", 6),
        lambda app: setattr(app.tenure, "suppress", 6),
    ],
    ids=["too_early", "not_quiet", "behind", "folding_again"],
)
async def test_nothing_is_published_while(app, provisional, change):
    change(app)
    await provisional._publish(TP0, app.tenure)
    assert app.parts == []


async def test_a_partition_whose_bars_have_all_closed_publishes_nothing(app, provisional):
    app.tenure.state.book.fold([], 5, [(0, SimpleNamespace(ts_event=START_S * 10**9 + 3 * MINUTE_NS))])
    await provisional._publish(TP0, app.tenure)
    assert app.parts == []
