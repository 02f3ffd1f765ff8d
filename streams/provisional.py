"""The wall clock publishes open bars of quiet partitions, as not final; only records close them.

Were the wall clock to close bars, the verdict on a late trade would depend on timing, and folding again
would not come to the same result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faust.types import TP
from mode import Service

from domain.candles import Book
from schemas.topics import TRADES
from streams.batcher import Part
from streams.tenure import Tenure

if TYPE_CHECKING:
    from streams.app import MarketApp

PERIOD_S = 1.0
#: a partition is quiet when nothing was delivered for so long
QUIET_S = 1.0


class Provisional(Service):
    """Publishes each state of an open bar at most once."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app whose bars to publish."""
        super().__init__(**kw)
        self._app = app
        self._seen: dict[TP, tuple[Tenure, int, int]] = {}

    @Service.task
    async def _tick(self) -> None:
        # not `while True`: after stop() sleep returns at once, and the task would spin
        while not self.should_stop:
            await self.sleep(PERIOD_S)
            trades = self._app.settings.topic(TRADES)
            for tp, tenure in list(self._app.tenures.items()):
                if tp.topic == trades:
                    await self._publish(tp, tenure)

    async def _publish(self, tp: TP, tenure: Tenure) -> None:
        app = self._app
        quiet = app.clock.monotonic() - tenure.delivered_at > QUIET_S
        caught_up = tenure.folded >= max(tenure.suppress, app.services.pulse.end(tp) or 0)
        if not (quiet and caught_up):
            return
        book: Book = tenure.state.book
        bars = book.provisional(app.clock.now_ns() - book.patience.lateness_ns)
        seen = (tenure, tenure.folded, len(bars))
        if bars and self._seen.get(tp) != seen:
            self._seen[tp] = seen
            await app.services.batcher.put([Part(tenure, tenure.stored, rows=bars)])
