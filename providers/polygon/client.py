"""Polygon over HTTP: which paths to ask, part by part of the window and page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from pydantic import SecretStr
from typing_extensions import override

from domain.clock import Clock
from providers.answers import Answer
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
from providers.gate import Gate
from providers.http import Http, Timeouts, segment
from providers.polygon.config import PolygonConfig
from providers.polygon.errors import PROVIDER, refusal
from providers.polygon.parse import MS_NS, Page, parse_bars, parse_closes, parse_last_quote, parse_quotes
from providers.rows import check_bars, check_quotes, in_regular_hours, in_window
from providers.sessions import DAY_NS, date_of, midnight_ns, session_of
from providers.symbols import POLYGON
from providers.windows import each, parts, plain
from schemas.errors import BadRequest, Malformed, NotFound, ProviderError, RateLimited
from schemas.provider import Adjustment, Interval, ProviderName

RULE: Final = "polygon.v1"
#: how far an answer of status DELAYED lags behind
DELAY_NS: Final = 900_000_000_000

_SPANS: Final[dict[Interval, str]] = {
    "1m": "1/minute",
    "5m": "5/minute",
    "15m": "15/minute",
    "30m": "30/minute",
    "1h": "1/hour",
    "1d": "1/day",
}

Row = TypeVar("Row", BarRow, QuoteRow)
Params = dict[str, str | int]


@dataclass(slots=True)
class _Got(Generic[Row]):
    """What came of one symbol."""

    symbol: str
    rows: list[Row]
    requests: int = 0
    delayed: bool = False
    unknown: NotFound | None = None


class PolygonClient(Provider):
    """Bars and quotes of polygon, of the consolidated tape."""

    name: ProviderName = "polygon"

    def __init__(
        self,
        config: PolygonConfig,
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
            headers={"Authorization": SecretStr(f"Bearer {config.key.get_secret_value()}")},
            gate=gate,
            timeouts=timeouts,
            connections=config.inflight,
        )

    @override
    async def bars(self, request: BarsRequest) -> BarsResult:
        request = plain(request, PROVIDER)
        adjusted = _adjusted(request.adjustment)

        async def ask(symbol: str) -> _Got[BarRow]:
            return await self._bars_of(symbol, request, adjusted=adjusted)

        got = await each(request.symbols, ask, self._config.inflight)
        rows = _rows(got)
        check_bars(rows, request, PROVIDER)
        delayed = any(one.delayed for one in got)
        return BarsResult(
            rows if request.extended_hours or request.interval == "1d" else in_regular_hours(rows),
            _source(RULE, delayed=delayed),
            request.adjustment,
            self._covered(request.start_ns, request.end_ns, delayed=delayed),
            _missing(got),
            sum(one.requests for one in got),
        )

    async def session(self, day: int, symbols: Sequence[str], adjustment: Adjustment) -> BarsResult:
        """Return the day bars of one session, of all symbols in a single request.

        Args:
            day: date of the session as days since 1970-01-01.
            symbols: canonical.
            adjustment: ``raw`` or ``split``.

        Raises:
            ProviderError: as `bars`.
        """
        window = midnight_ns(day), midnight_ns(day + 1)
        request = plain(BarsRequest(tuple(symbols), "1d", *window, adjustment), PROVIDER)
        adjusted = _adjusted(adjustment)
        path = f"/v2/aggs/grouped/locale/us/market/stocks/{date_of(day).isoformat()}"
        answer = self._checked(await self._http.get(path, {"adjusted": _flag(adjusted)}))
        parse = partial(parse_closes, symbols=request.symbols, adjusted=adjusted)
        page = self._parsed(parse, answer.body)
        by_symbol = {symbol: _Got[BarRow](symbol, []) for symbol in request.symbols}
        for row in page.rows:
            by_symbol[row.symbol].rows.append(row)
        got = list(by_symbol.values())
        rows = _rows(got)
        check_bars(rows, request, PROVIDER)
        return BarsResult(
            rows,
            _source(RULE, delayed=page.delayed),
            adjustment,
            self._covered(*window, delayed=page.delayed),
            _missing(got),
            answer.requests,
        )

    @override
    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        request = plain(request, PROVIDER)
        window = _window(request)

        async def ask(symbol: str) -> _Got[QuoteRow]:
            return await self._quotes_of(symbol, window)

        got = await each(request.symbols, ask, self._config.inflight)
        rows = _rows(got)
        check_quotes(rows, window, PROVIDER)
        delayed = any(one.delayed for one in got)
        return QuotesResult(
            rows,
            _source("", delayed=delayed),
            self._covered(*window, delayed=delayed) if window else None,
            _missing(got),
            sum(one.requests for one in got),
        )

    @override
    async def close(self) -> None:
        await self._http.close()

    async def _bars_of(self, symbol: str, request: BarsRequest, *, adjusted: bool) -> _Got[BarRow]:
        got = _Got[BarRow](symbol, [])
        daily = request.interval == "1d"
        days = self._config.daily_days if daily else self._config.intraday_days
        params: Params = {"adjusted": _flag(adjusted), "sort": "asc", "limit": self._config.page_size}
        parse = partial(parse_bars, symbol=symbol, daily=daily, adjusted=adjusted)
        try:
            spelled = segment(POLYGON.vendor(symbol))
            for start, end in parts(request.start_ns, request.end_ns, days * DAY_NS):
                # milliseconds at or after each end; the vendor's own end is inclusive
                first, last = _ms(start), _ms(end) - 1
                if first > last:  # no bar starts within a millisecond
                    continue
                path = f"/v2/aggs/ticker/{spelled}/range/{_SPANS[request.interval]}/{first}/{last}"
                part = _Got[BarRow](symbol, [])
                try:
                    await self._pages(path, params, parse, part)
                finally:
                    got.requests += part.requests
                got.rows += in_window(part.rows, request.interval, start, end)
                got.delayed |= part.delayed
        except NotFound as exc:
            got.unknown = exc
        return got

    async def _quotes_of(self, symbol: str, window: tuple[int, int] | None) -> _Got[QuoteRow]:
        got = _Got[QuoteRow](symbol, [])
        try:
            spelled = segment(POLYGON.vendor(symbol))
            if window is None:
                path = f"/v2/last/nbbo/{spelled}"
                await self._pages(path, {}, partial(parse_last_quote, symbol=symbol), got)
            else:
                params: Params = {
                    "timestamp.gte": window[0],
                    "timestamp.lt": window[1],
                    "order": "asc",
                    "sort": "timestamp",
                    "limit": self._config.page_size,
                }
                await self._pages(f"/v3/quotes/{spelled}", params, partial(parse_quotes, symbol=symbol), got)
        except NotFound as exc:
            got.unknown = exc
        return got

    async def _pages(
        self, path: str, params: Params, parse: Callable[[bytes], Page[Row]], got: _Got[Row]
    ) -> None:
        """Add all pages to what was got; of an error, its requests too."""
        seen: set[str] = set()
        first: Row | None = None
        answer = await self._http.get(path, params)
        while True:
            got.requests += answer.requests
            body = self._checked(answer).body
            page = self._parsed(parse, body)
            if page.rows and page.rows[0] == first:
                raise self._http.clean(
                    Malformed("next_url: the same rows again", provider=PROVIDER, raw=body)
                )
            first = page.rows[0] if page.rows else None
            got.rows += page.rows
            got.delayed |= page.delayed
            if not page.next_url:
                return
            if page.next_url in seen:
                raise self._http.clean(
                    Malformed("next_url: the same page again", provider=PROVIDER, raw=body)
                )
            seen.add(page.next_url)
            if len(seen) >= self._config.max_pages:
                raise Malformed(f"next_url: more than {self._config.max_pages} pages", provider=PROVIDER)
            answer = await self._http.follow(page.next_url)

    def _checked(self, answer: Answer) -> Answer:
        if answer.status != 200:
            raise self._refused(refusal(answer, self._clock.now_ns()))
        return answer

    def _parsed(self, parse: Callable[[bytes], Page[Row]], body: bytes) -> Page[Row]:
        try:
            return parse(body)
        except ProviderError as exc:
            raise self._refused(exc) from None

    def _refused(self, error: ProviderError) -> ProviderError:
        if isinstance(error, RateLimited):
            self._http.block(error.retry_after_s)
        return self._http.clean(error)

    def _covered(self, start_ns: int, end_ns: int, *, delayed: bool) -> tuple[int, int]:
        now = self._clock.now_ns()
        until = now - (DELAY_NS if delayed else 0)
        if self._config.plan == "free":  # it has nothing of the present day
            until = min(until, midnight_ns(session_of(now)))
        return start_ns, max(start_ns, min(end_ns, until))


def _rows(got: Sequence[_Got[Row]]) -> list[Row]:
    """Return all rows by symbol; if every symbol is unknown, that is the answer."""
    if got[0].unknown and all(one.unknown for one in got):
        raise got[0].unknown
    return [row for one in got for row in one.rows]


def _missing(got: Sequence[_Got[Row]]) -> tuple[str, ...]:
    return tuple(one.symbol for one in got if not one.rows)


def _source(rule: str, *, delayed: bool) -> Source:
    return Source("polygon", "sip", "consolidated", rule, delayed)


def _adjusted(adjustment: Adjustment) -> bool:
    if adjustment == "all":
        raise BadRequest("adjustment: polygon knows raw and split only", provider=PROVIDER)
    return adjustment == "split"


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value that is converted
    return "true" if value else "false"


def _window(request: QuotesRequest) -> tuple[int, int] | None:
    if request.start_ns is None or request.end_ns is None:
        return None
    return request.start_ns, request.end_ns


def _ms(ts_ns: int) -> int:
    """Return the first millisecond that does not begin before a moment."""
    return -(-ts_ns // MS_NS)
