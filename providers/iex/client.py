"""Tiingo over HTTP: dates only, one ticker a request for bars, many for quotes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from pydantic import SecretStr
from typing_extensions import override

from domain.clock import Clock
from providers.alpaca.client import AlpacaClient
from providers.base import (
    INTERVAL_NS,
    BarRow,
    BarsRequest,
    BarsResult,
    Provider,
    QuotesRequest,
    QuotesResult,
    Source,
)
from providers.gate import Gate
from providers.http import Http, Timeouts, segment
from providers.iex.config import IexConfig, TiingoConfig
from providers.iex.errors import PROVIDER, refusal
from providers.iex.parse import parse_daily, parse_intraday, parse_top
from providers.rows import check_bars, check_quotes, in_regular_hours
from providers.sessions import date_of, midnight_ns, session_of
from providers.symbols import TIINGO
from providers.windows import each, plain
from schemas.errors import BadRequest, EntitlementMissing, Malformed, NotFound, ProviderError, RateLimited
from schemas.provider import Interval, ProviderName

#: whether an hour of Tiingo's begins on the hour is not known
_FREQUENCIES: Final[dict[Interval, str]] = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min"}
_REGULAR_NS: Final = 390 * INTERVAL_NS["1m"]
_EXTENDED_NS: Final = 960 * INTERVAL_NS["1m"]
#: a quota of the month counts symbols: those it knows may still be served
_LONGEST_BLOCK_S: Final = 3_600.0

MINUTES: Final = Source("iex", "tiingo", "iex", "tiingo_iex.v1")
DAYS: Final = Source("iex", "tiingo", "consolidated", "tiingo_daily.v1")
QUOTES: Final = Source("iex", "tiingo", "iex", "")

Parsed = TypeVar("Parsed")
Params = dict[str, str | int]


def iex_client(
    config: IexConfig, clock: Clock, gate: Gate | None = None, timeouts: Timeouts | None = None
) -> Provider:
    """Return the client of the backend that was configured."""
    if isinstance(config, TiingoConfig):
        return TiingoClient(config, clock, gate, timeouts)
    return AlpacaClient(config, clock, gate, timeouts)


class TiingoClient(Provider):
    """Tiingo: minutes and quotes of IEX alone, days of the consolidated tape."""

    name: ProviderName = "iex"

    def __init__(
        self,
        config: TiingoConfig,
        clock: Clock,
        gate: Gate | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Take settings, clock and what limits the requests."""
        self._config = config
        self._clock = clock
        self._http = Http(
            PROVIDER,
            config.base_url,
            clock,
            headers={"Authorization": SecretStr(f"Token {config.key.get_secret_value()}")},
            gate=gate,
            timeouts=timeouts,
            connections=config.inflight,
        )

    @override
    async def bars(self, request: BarsRequest) -> BarsResult:
        request = plain(request, PROVIDER)
        daily = request.interval == "1d"
        if not daily:
            _check_intraday(request)

        async def ask(symbol: str) -> tuple[list[BarRow], int, NotFound | None]:
            try:
                rows, requests = await (
                    self._days(symbol, request) if daily else self._minutes(symbol, request)
                )
            except NotFound as exc:
                return [], 1, exc
            return [row for row in rows if request.start_ns <= row.ts_event < request.end_ns], requests, None

        got = await each(request.symbols, ask, self._config.inflight)
        if (unknown := got[0][2]) and all(error for *_, error in got):
            raise unknown
        rows = [row for rows, *_ in got for row in rows]
        check_bars(rows, request, PROVIDER)
        return BarsResult(
            rows if request.extended_hours or daily else in_regular_hours(rows),
            DAYS if daily else MINUTES,
            request.adjustment,
            (request.start_ns, max(request.start_ns, min(request.end_ns, self._clock.now_ns()))),
            tuple(symbol for symbol, (rows, *_) in zip(request.symbols, got, strict=True) if not rows),
            sum(requests for _, requests, _ in got),
        )

    @override
    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        request = plain(request, PROVIDER)
        if request.start_ns is not None:
            raise BadRequest("window: Tiingo has no quotes of the past", provider=PROVIDER)
        if not self._config.quotes_entitled:
            raise EntitlementMissing("bids and asks need an agreement with IEX", provider=PROVIDER)
        rows, requests = [], 0
        for start in range(0, len(request.symbols), self._config.batch_symbols):
            batch = request.symbols[start : start + self._config.batch_symbols]
            params: Params = {"tickers": ",".join(TIINGO.vendor(symbol).lower() for symbol in batch)}
            part, tries = await self._ask("/iex/", params, lambda body, batch=batch: parse_top(body, batch))  # type: ignore[misc]
            rows += part
            requests += tries
        check_quotes(rows, None, PROVIDER)
        found = {row.symbol for row in rows}
        missing = tuple(symbol for symbol in request.symbols if symbol not in found)
        return QuotesResult(rows, QUOTES, None, missing, requests)

    @override
    async def close(self) -> None:
        await self._http.close()

    async def _days(self, symbol: str, request: BarsRequest) -> tuple[list[BarRow], int]:
        first, last = _sessions(request)
        if request.adjustment == "split":  # by every split since, up to now
            last = max(last, session_of(self._clock.now_ns()))
        if first > last:
            return [], 0
        path = f"/tiingo/daily/{segment(TIINGO.vendor(symbol))}/prices"
        rows, requests = await self._ask(
            path,
            {**_dates(first, last), "resampleFreq": "daily"},
            lambda body: parse_daily(body, symbol, request.adjustment),
        )
        return _inside(rows, first, last), requests

    async def _minutes(self, symbol: str, request: BarsRequest) -> tuple[list[BarRow], int]:
        rows: list[BarRow] = []
        requests = 0
        for days in _chunks(request, self._config.max_points, session_of(self._clock.now_ns())):
            part, tries = await self._minutes_of(symbol, request, days)
            rows += part
            requests += tries
        return rows, requests

    async def _minutes_of(
        self, symbol: str, request: BarsRequest, days: Sequence[int]
    ) -> tuple[list[BarRow], int]:
        """Return the bars of a few sessions, and make sure that the first of them was not cut off.

        How many an answer can hold is not documented. If the first sessions have no bar, they are asked for
        again by themselves: on a holiday in vain. If that shows that the answer was cut off, each session is
        asked for alone. A cut within the first session would not be seen.
        """
        rows, requests = await self._answer_of(symbol, request, days)
        begun = session_of(rows[0].ts_event) if rows else days[0]
        before = [day for day in days if day < begun]
        if before:
            earlier, tries = await self._answer_of(symbol, request, before)
            requests += tries
            if earlier:  # the session where it begins is not whole either, nor may the earlier ones be
                rows = [row for row in rows if session_of(row.ts_event) > begun]
                alone = [begun, *reversed(before)] if len(before) > 1 else [begun]
                for day in alone:
                    whole, tries = await self._answer_of(symbol, request, [day])
                    requests += tries
                    rows = whole + rows
                rows = rows if len(before) > 1 else earlier + rows
        return rows, requests

    async def _answer_of(
        self, symbol: str, request: BarsRequest, days: Sequence[int]
    ) -> tuple[list[BarRow], int]:
        """Return what one answer has of a few sessions."""
        path = f"/iex/{segment(TIINGO.vendor(symbol))}/prices"
        params: Params = {
            **_dates(days[0], days[-1]),
            "resampleFreq": _FREQUENCIES[request.interval],
            "afterHours": "true" if request.extended_hours else "false",
            # it would make up a bar of every minute without a trade
            "forceFill": "false",
            "columns": "open,high,low,close,volume",
        }
        rows, requests = await self._ask(path, params, lambda body: parse_intraday(body, symbol))
        if len(rows) >= self._config.max_points:
            raise Malformed(f"{len(rows)} bars: as many as an answer can hold", provider=PROVIDER)
        return _inside(rows, days[0], days[-1]), requests

    async def _ask(self, path: str, params: Params, parse: Callable[[bytes], Parsed]) -> tuple[Parsed, int]:
        """Return what an answer means and how many requests it took."""
        answer = await self._http.get(path, params)
        try:
            if answer.status != 200:
                raise refusal(answer, self._clock.now_ns())
            return parse(answer.body), answer.requests
        except ProviderError as exc:
            said = exc
            if isinstance(exc, RateLimited):
                # what a parser says of time is of 1970
                said = refusal(answer, self._clock.now_ns())
                assert isinstance(said, RateLimited)
                self._http.block(min(said.retry_after_s, _LONGEST_BLOCK_S))
            raise self._http.clean(said) from None


def _check_intraday(request: BarsRequest) -> None:
    if request.interval not in _FREQUENCIES:
        raise BadRequest(f"interval: {request.interval} of Tiingo may be another", provider=PROVIDER)
    if request.adjustment != "raw":
        raise BadRequest(f"adjustment: {request.interval} is raw only", provider=PROVIDER)


def _sessions(request: BarsRequest) -> tuple[int, int]:
    """Return first and last date whose midnight in New York lies in the window, as days since 1970."""
    first = session_of(request.start_ns)
    return first + (midnight_ns(first) < request.start_ns), session_of(request.end_ns - 1)


def _chunks(request: BarsRequest, max_points: int, today: int) -> Iterator[Sequence[int]]:
    """Yield weekdays of the window, as many at a time as an answer can hold the bars of."""
    length_ns = _EXTENDED_NS if request.extended_hours else _REGULAR_NS
    size = max(1, max_points * INTERVAL_NS[request.interval] // length_ns)
    first, last = session_of(request.start_ns), min(today, session_of(request.end_ns - 1))
    days = [day for day in range(first, last + 1) if date_of(day).weekday() < 5]
    for start in range(0, len(days), size):
        yield days[start : start + size]


def _dates(first: int, last: int) -> Params:
    return {"startDate": date_of(first).isoformat(), "endDate": date_of(last).isoformat()}


def _inside(rows: list[BarRow], first: int, last: int) -> list[BarRow]:
    """Return rows that all belong to the dates asked for.

    Raises:
        Malformed: one does not.
    """
    for row in rows:
        if not first <= session_of(row.ts_event) <= last:
            day = date_of(session_of(row.ts_event))
            raise Malformed(f"date: a bar of {day}, which was not asked for", provider=PROVIDER)
    return rows
