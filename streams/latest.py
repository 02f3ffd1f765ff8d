"""The last quote of each symbol, shown on ``md.quotes.latest.v1``; and what it is, for whoever asks here.

Shown is only what is stored: whoever has lost a partition learns of it when it stores, and would otherwise
show what its successor is past. Of quiet symbols the wall clock shows the last quote: it goes through the
batcher, as a part without records, in order with those of the fold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from faust.types import TP
from mode import Service

from domain.latest import PACE_MS, Latest
from schemas.quote import L1Quote
from schemas.topics import QUOTES_LATEST, QUOTES_RAW
from streams.batcher import Part
from streams.lanes import quote_messages
from streams.output import Message, Target
from streams.tenure import Tenure

if TYPE_CHECKING:
    from streams.app import MarketApp

PERIOD_S = 0.25
PACE_S = PACE_MS / 1000


@dataclass(slots=True)
class Shop:
    """What of one partition is to be shown, and when some was; monotonic seconds."""

    shown: float
    """When the broker had the last ones; at first: until when whoever was here before may have shown some."""
    held: dict[str, L1Quote] = field(default_factory=dict)
    """Stored, and not shown yet."""

    def due(self, quotes: Iterable[L1Quote], now: float) -> list[L1Quote]:
        """Take quotes, the later the better; return the last of each symbol once it is time again.

        All symbols at once: one by one they would be a few records for each transaction.
        """
        for quote in quotes:
            self.held[quote.symbol] = quote
        if now - self.shown < PACE_S:
            return []
        due = [*self.held.values()]
        self.held.clear()
        return due


class _State(Protocol):
    latest: Latest
    shop: Shop


class LatestQuotes(Service):
    """Shows the last quotes of the partitions that are held here."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app whose quotes they are."""
        super().__init__(**kw)
        self._app = app
        self._seen: dict[TP, Tenure] = {}

    def get(self, symbol: str) -> L1Quote | None:
        """Return the last quote of a symbol; None if nothing is known of it here."""
        for tenure in self._tenures():
            quote: L1Quote | None = tenure.state.latest.get(symbol)
            if quote is not None and tenure.folded >= tenure.suppress:
                return quote
        return None

    async def show(self, parts: Iterable[Part[L1Quote]]) -> None:
        """Publish what parts leave to be shown, once they are stored.

        Raises:
            Fatal: see `Output.deliver`.
        """
        app = self._app
        now, topic = app.clock.monotonic(), app.settings.topic(QUOTES_LATEST)
        messages: dict[Target, list[Message]] = {}
        shown: list[tuple[_State, list[L1Quote]]] = []
        for tp, tenure in {part.tp: part.tenure for part in parts}.items():
            state: _State = tenure.state
            quotes = (quote for part in parts if part.tenure is tenure for quote in part.latest)
            if due := state.shop.due(quotes, now):
                messages[topic, tp.partition] = quote_messages(due)
                shown.append((state, due))
        if not messages:
            return
        await app.services.output.deliver(messages)
        now = app.clock.monotonic()
        for state, due in shown:
            app.counters.quotes.latest += len(due)
            state.latest.confirm(due)
            state.shop.shown = now

    def _tenures(self) -> list[Tenure]:
        topic = self._app.settings.topic(QUOTES_RAW)
        return [tenure for tp, tenure in self._app.tenures.items() if tp.topic == topic]

    @Service.task
    async def _tick(self) -> None:
        # not `while True`: after stop() sleep returns at once, and the task would spin
        while not self.should_stop:
            await self.sleep(PERIOD_S)
            for tenure in self._tenures():
                await self._publish(tenure)

    async def _publish(self, tenure: Tenure) -> None:
        if tenure.folded < tenure.suppress:
            return
        state: _State = tenure.state
        if self._seen.get(tenure.tp) is not tenure:
            self._seen[tenure.tp] = tenure
            state.latest.recall_unconfirmed()
        quotes = state.latest.flush()
        if quotes or state.shop.held:
            await self._app.services.quote_batcher.put([Part(tenure, tenure.stored, latest=quotes)])
