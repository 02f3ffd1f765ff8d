"""Finnhub over HTTP: one symbol a request, part by part of the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from typing_extensions import override

from domain.clock import Clock
from providers.answers import Answer, remaining, reset_after
from providers.base import (
    BarRow,
    BarsRequest,
    BarsResult,
    Provider,
    QuoteRow,
    QuotesRequest,
    QuotesResult,
    Source,
)
from providers.finnhub.config import FinnhubConfig
from providers.finnhub.errors import PROVIDER, refusal
from providers.finnhub.parse import DAY_S, Last, parse_bidask, parse_candles, parse_last, parse_nbbo
from providers.gate import Gate
from providers.http import Http, Timeouts
from providers.rows import check_bars, check_quotes, in_regular_hours, in_window
from providers.sessions import DAY_NS, SECOND_NS, date_of, midnight_ns, session_of
from providers.symbols import FINNHUB
from providers.windows import each, parts, plain
from schemas.errors import BadRequest, Malformed, NotFound, ProviderError, RateLimited
from schemas.provider import Interval, ProviderName

RULE: Final = "finnhub.v1"
#: hours are left out: finnhub's begin at half past, with the session
_RESOLUTIONS: Final[dict[Interval, str]] = {"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1d": "D"}

Row = TypeVar("Row", BarRow, QuoteRow)
Parsed = TypeVar("Parsed")
Params = dict[str, str | int]


class _Got(NamedTuple, Generic[Row]):
    """What came of one symbol."""

    rows: list[Row]
    requests: int
    unknown: NotFound | None = None


class FinnhubClient(Provider):
    """Bars and quotes of finnhub, of the consolidated tape."""

    name: ProviderName = "finnhub"

    def __init__(
        self,
        config: FinnhubConfig,
        clock: Clock,
        gate: Gate | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Take settings, clock and what limits the requests."""
        self._config = config
        self._clock = clock
        in_header = config.key_in == "header"
        self._http = Http(
            PROVIDER,
            config.base_url,
            clock,
            headers={"X-Finnhub-Token": config.key} if in_header else None,
            query=None if in_header else {"token": config.key},
            gate=gate,
            timeouts=timeouts,
            connections=config.inflight,
        )

    @override
    async def bars(self, request: BarsRequest) -> BarsResult:
        request = plain(request, PROVIDER)
        resolution = _resolution(request)

        async def ask(symbol: str) -> _Got[BarRow]:
            return await self._bars_of(symbol, request, resolution)

        got = await each(request.symbols, ask, self._config.inflight)
        rows = _rows(got)
        check_bars(rows, request, PROVIDER)
        return BarsResult(
            rows if request.extended_hours or request.interval == "1d" else in_regular_hours(rows),
            Source("finnhub", "finnhub", "consolidated", RULE),
            request.adjustment,
            self._covered(request.start_ns, request.end_ns),
            _missing(request.symbols, got),
            sum(one.requests for one in got),
        )

    @override
    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        request = plain(request, PROVIDER)
        window = None
        if request.start_ns is not None and request.end_ns is not None:
            window = request.start_ns, request.end_ns

        async def ask(symbol: str) -> _Got[QuoteRow]:
            return await self._quotes_of(symbol, window)

        got = await each(request.symbols, ask, self._config.inflight)
        rows = _rows(got)
        check_quotes(rows, window, PROVIDER)
        return QuotesResult(
            rows,
            Source("finnhub", "finnhub", "consolidated", ""),
            self._covered(*window) if window else None,
            _missing(request.symbols, got),
            sum(one.requests for one in got),
        )

    async def last(self, symbol: str) -> Last:
        """Return the last trade of a symbol: what every plan includes, so good for trying a key.

        Raises:
            ProviderError: as `bars`; `NotFound` also while finnhub is broken, which looks the same.
        """
        return (await self._ask("/quote", symbol, {}, lambda body: parse_last(body, symbol)))[0]

    @override
    async def close(self) -> None:
        await self._http.close()

    async def _bars_of(self, symbol: str, request: BarsRequest, resolution: str) -> _Got[BarRow]:
        daily = request.interval == "1d"
        days = self._config.daily_days if daily else self._config.intraday_days
        rows: list[BarRow] = []
        requests = 0
        for start, end in parts(request.start_ns, request.end_ns, days * DAY_NS):
            first, last = _dates(start, end) if daily else _seconds(start, end)
            if first > last:
                continue
            params: Params = {"resolution": resolution, "from": first, "to": last}
            try:
                part, tries = await self._ask(
                    "/stock/candle", symbol, params, lambda body: parse_candles(body, symbol, daily=daily)
                )
            except NotFound as exc:
                return _Got(rows, requests + 1, exc)
            rows += in_window(part, request.interval, start, end)
            requests += tries
        return _Got(rows, requests)

    async def _quotes_of(self, symbol: str, window: tuple[int, int] | None) -> _Got[QuoteRow]:
        try:
            if window is None:
                return _Got(
                    *await self._ask("/stock/bidask", symbol, {}, lambda body: parse_bidask(body, symbol))
                )
            rows: list[QuoteRow] = []
            requests = 0
            start, end = window
            for day in range(session_of(start), session_of(end - 1) + 1):
                if _is_weekend(day):
                    continue
                part, tries = await self._nbbo_of(symbol, day)
                rows += [row for row in part if start <= row.ts_event < end]
                requests += tries
        except NotFound as exc:
            return _Got([], 1, exc)
        return _Got(rows, requests)

    async def _nbbo_of(self, symbol: str, day: int) -> tuple[list[QuoteRow], int]:
        size = self._config.page_size
        params: Params = {"date": date_of(day).isoformat(), "limit": size}
        rows: list[QuoteRow] = []
        first: QuoteRow | None = None
        requests = 0
        for page_number in range(self._config.max_pages):
            page, tries = await self._ask(
                "/stock/bbo",
                symbol,
                {**params, "skip": page_number * size},
                lambda body: parse_nbbo(body, symbol),
            )
            if page.rows and page.rows[0] == first:
                raise Malformed("skip: the same rows again", provider=PROVIDER)
            first = page.rows[0] if page.rows else None
            rows += page.rows
            requests += tries
            if page.count < size:
                return rows, requests
        raise Malformed(f"skip: more than {self._config.max_pages} pages", provider=PROVIDER)

    async def _ask(
        self, path: str, symbol: str, params: Params, parse: Callable[[bytes], Parsed]
    ) -> tuple[Parsed, int]:
        """Return what an answer means and how many requests it took."""
        answer = await self._http.get(path, {"symbol": FINNHUB.vendor(symbol), **params})
        try:
            if answer.status != 200:
                raise refusal(answer, self._clock.now_ns())
            parsed = parse(answer.body)
        except ProviderError as exc:
            if isinstance(exc, RateLimited):
                self._http.block(exc.retry_after_s)
            raise self._http.clean(exc) from None
        self._slow_down(answer)
        return parsed, answer.requests

    def _slow_down(self, answer: Answer) -> None:
        """Stop before finnhub says so, if it says how much is left."""
        left, reset_s = remaining(answer.headers), reset_after(answer.headers, self._clock.now_ns())
        if left is not None and left <= 1 and reset_s is not None:
            self._http.block(reset_s)

    def _covered(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        return start_ns, max(start_ns, min(end_ns, self._clock.now_ns()))


def _resolution(request: BarsRequest) -> str:
    resolution = _RESOLUTIONS.get(request.interval)
    if resolution is None:
        raise BadRequest(f"interval: {request.interval} of finnhub is another", provider=PROVIDER)
    served = "split" if request.interval == "1d" else "raw"
    if request.adjustment != served:
        raise BadRequest(f"adjustment: {request.interval} is {served} only", provider=PROVIDER)
    return resolution


def _seconds(start_ns: int, end_ns: int) -> tuple[int, int]:
    """Return the first and the last second of a half-open window."""
    return -(-start_ns // SECOND_NS), -(-end_ns // SECOND_NS) - 1


def _dates(start_ns: int, end_ns: int) -> tuple[int, int]:
    """Return first and last second, in UTC as finnhub has days, of the sessions that begin in a window.

    The whole of the last date: bars before 2021, and the newest one, may be stamped later than 00:00.
    """
    first = session_of(start_ns)
    first += midnight_ns(first) < start_ns
    return first * DAY_S, session_of(end_ns - 1) * DAY_S + DAY_S - 1


def _is_weekend(day: int) -> bool:
    return date_of(day).weekday() >= 5


def _rows(got: Sequence[_Got[Row]]) -> list[Row]:
    """Return all rows by symbol; if every symbol is unknown, that is the answer."""
    if got[0].unknown and all(one.unknown for one in got):
        raise got[0].unknown
    return [row for one in got for row in one.rows]


def _missing(symbols: Sequence[str], got: Sequence[_Got[Row]]) -> tuple[str, ...]:
    return tuple(symbol for symbol, one in zip(symbols, got, strict=True) if not one.rows)
