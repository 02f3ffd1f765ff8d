"""``GET /quotes/{symbol}``: the last quote, from what this worker publishes or else from the database."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec

from ops.health import Answer, problem
from schemas.base import SYMBOL
from schemas.errors import DatabaseAway, DatabaseRefused
from schemas.quote import L1Quote

#: symbols of which it is remembered what was shown; what nobody asked for longest is forgotten first
MOST_SHOWN = 20_000


class QuotePage:
    """Answers; never with an older quote than it has shown before."""

    def __init__(
        self,
        latest: Callable[[str], L1Quote | None],
        stored: Callable[[str], Awaitable[L1Quote | None]],
    ) -> None:
        """Take where quotes come from.

        Args:
            latest: what the worker publishes of a symbol; None if that is none of its partitions.
            stored: what the database has; raises DatabaseAway or DatabaseRefused.
        """
        self._latest = latest
        self._stored = stored
        self._shown: dict[str, tuple[L1Quote, str]] = {}

    async def answer(self, symbol: str, path: str) -> Answer:
        """Return the quote as on md.quotes.latest.v1, and its `source`: `stream` or `table`.

        404 if there is none; 503 if only the database could know, and it does not answer.
        """
        if not re.fullmatch(SYMBOL, symbol):
            return problem(HTTPStatus.NOT_FOUND, "no symbol is written like that: AAPL, BRK.B, say", path)
        found, source = self._latest(symbol), "stream"
        if found is None:
            try:
                found, source = await self._stored(symbol), "table"
            except (DatabaseAway, DatabaseRefused) as exc:
                if symbol not in self._shown:
                    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(exc), path)
        shown = self._shown.pop(symbol, None)
        # a partition that has gone to another worker: what was published may not be stored yet
        if shown is not None and (found is None or found.ts_event < shown[0].ts_event):
            found, source = shown
        if found is None:
            return problem(HTTPStatus.NOT_FOUND, f"no quote of {symbol} has come yet", path)
        self._shown[symbol] = found, source
        if len(self._shown) > MOST_SHOWN:
            del self._shown[next(iter(self._shown))]
        # with what is left out there left out here
        body: dict[str, Any] = msgspec.to_builtins(found)
        return Answer(HTTPStatus.OK, {**body, "source": source})
