"""The last quote of each symbol by the best provider there is, and when to publish it.

Which quote that is depends on the records alone. When it is published depends on the wall clock as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from domain.rank import LESSER, coverage_of, place
from schemas.quote import L1Quote

#: at most one publication of a symbol in so long, by LogAppendTime
PACE_MS: Final = 250
#: a provider that says nothing of a symbol for longer gives way to lesser ones, by LogAppendTime
PATIENCE_MS: Final = 5_000

#: Provider and feed that are shown, their rank, their last quote, its LogAppendTime and that of the one last
#: given out (ms), the turn in which the quote began to wait for that (0: it does not), number of the quote
#: that the broker has. A list, not a class: it is touched once per quote.
View = list[Any]
PROVIDER, FEED, RANK, QUOTE, SINCE, GIVEN, WAITS, SHOWN = range(8)


class Latest:
    """The best quote of each symbol of one partition; it never goes back in time.

    A better provider takes over at once; a lesser one when the one that is shown has said nothing of the
    symbol for `PATIENCE_MS`. What is older by ``ts_event`` than what was shown is never shown.

    What is given out is to be published only when the records that it came of are stored: otherwise, if a
    worker died in between, its successor would begin with something older. Then it is to be confirmed.
    """

    __slots__ = ("_places", "_ranks", "_turn", "_waiting", "views")

    def __init__(self, places: Sequence[str]) -> None:
        """Take POLICY_QUOTES_L1, the best provider first; one that it does not name comes last."""
        self.views: dict[str, View] = {}
        self._places = tuple(places)
        self._ranks: dict[tuple[str, str], int] = {}
        self._waiting: dict[str, View] = {}
        self._turn = 1

    def prefer(self, places: Sequence[str]) -> None:
        """Follow another order of providers from the next quote on."""
        if self._places == (given := tuple(places)):
            return
        self._places = given
        self._ranks.clear()
        for view in self.views.values():
            view[RANK] = self._rank(view[PROVIDER], view[FEED])

    def offer(self, quotes: Iterable[L1Quote], times_ms: Iterable[int]) -> list[L1Quote]:
        """Take emitted quotes; return those to publish, in order.

        Args:
            quotes: in the order in which they were emitted.
            times_ms: LogAppendTime of each.
        """
        due: list[L1Quote] = []
        views, waiting = self.views, self._waiting
        for quote, time_ms in zip(quotes, times_ms, strict=True):
            symbol, provider = quote.symbol, quote.provider
            view = views.get(symbol)
            if view is None:
                rank = self._rank(provider, quote.feed)
                views[symbol] = [provider, quote.feed, rank, quote, time_ms, time_ms, 0, 0]
                due.append(quote)
                continue
            if view[PROVIDER] != provider or view[FEED] != quote.feed:
                rank = self._rank(provider, quote.feed)
                if rank <= view[RANK] and time_ms - view[SINCE] <= PATIENCE_MS:
                    continue
                if quote.ts_event < view[QUOTE].ts_event:
                    continue
                view[PROVIDER], view[FEED], view[RANK] = provider, quote.feed, rank
            elif quote.ts_event < view[QUOTE].ts_event:
                view[SINCE] = time_ms  # it is alive, if in disorder
                continue
            view[QUOTE], view[SINCE] = quote, time_ms
            if time_ms - view[GIVEN] >= PACE_MS:
                view[GIVEN] = time_ms
                if view[WAITS]:
                    view[WAITS] = 0
                    del waiting[symbol]
                due.append(quote)
            elif not view[WAITS]:
                view[WAITS] = self._turn
                waiting[symbol] = view
        return due

    def flush(self) -> list[L1Quote]:
        """Return what has waited since the call before, to publish it.

        To be called by the wall clock, every 0.25 s: so none waits here for more than 0.5 s, whatever the
        broker's clock says.
        """
        ripe = [view for view in self._waiting.values() if view[WAITS] < self._turn]
        self._turn += 1
        for view in ripe:
            view[WAITS], view[GIVEN] = 0, view[SINCE]
            del self._waiting[view[QUOTE].symbol]
        return [view[QUOTE] for view in ripe]

    def recall(self, quotes: Iterable[L1Quote], times_ms: Iterable[int]) -> None:
        """Take quotes that are stored already, in silence: `flush` gives out what came of them.

        Whether the predecessor published them is not known.
        """
        for quote in self.offer(quotes, times_ms):
            view = self.views[quote.symbol]
            if not view[WAITS]:
                view[WAITS] = self._turn
                self._waiting[quote.symbol] = view

    def recall_unconfirmed(self) -> None:
        """Let wait what the broker may not have: `flush` gives it out again."""
        for view in list(self.views.values()):
            if view[SHOWN] != view[QUOTE].n:
                self.know(view[QUOTE], view[SINCE], view[GIVEN], waits=True)

    def confirm(self, quotes: Iterable[L1Quote]) -> None:
        """Take note that the broker has these: a snapshot need not say that they wait."""
        for quote in quotes:
            self.views[quote.symbol][SHOWN] = quote.n

    def get(self, symbol: str) -> L1Quote | None:
        """Return the best last quote of a symbol, published or not."""
        view = self.views.get(symbol)
        return None if view is None else view[QUOTE]

    def know(self, quote: L1Quote, since_ms: int, given_ms: int, *, waits: bool) -> None:
        """Take what a snapshot says of a symbol."""
        rank = self._rank(quote.provider, quote.feed)
        shown = 0 if waits else quote.n
        view = [quote.provider, quote.feed, rank, quote, since_ms, given_ms, self._turn * waits, shown]
        self.views[quote.symbol] = view
        if waits:
            self._waiting[quote.symbol] = view

    def _rank(self, provider: str, feed: str) -> int:
        rank = self._ranks.get((provider, feed))
        if rank is None:
            # of one provider the whole tape is better than one exchange
            rank = 2 * place(provider, self._places) + (coverage_of(feed) != LESSER)
            self._ranks[provider, feed] = rank
        return rank
