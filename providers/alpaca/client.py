"""Alpaca over HTTP: many symbols at once, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, TypeVar

from typing_extensions import override

from domain.clock import Clock
from providers.alpaca.config import AlpacaConfig
from providers.alpaca.errors import refusal
from providers.alpaca.parse import Page, parse_bars, parse_latest_quotes, parse_quotes
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
from providers.gate import Gate
from providers.http import Http, Timeouts
from providers.rfc3339 import from_ns
from providers.rows import check_bars, check_quotes, in_regular_hours, in_window
from providers.symbols import ALPACA
from providers.windows import each, plain
from schemas.errors import Malformed, ProviderError, RateLimited
from schemas.provider import Interval, ProviderName

RULE: Final = "alpaca.v1"
SECOND_NS: Final = 1_000_000_000

_FRAMES: Final[dict[Interval, str]] = {
    "1m": "1Min",
    "5m": "5Min",
    "15m": "15Min",
    "30m": "30Min",
    "1h": "1Hour",
    "1d": "1Day",
}

Row = TypeVar("Row", BarRow, QuoteRow)
Params = dict[str, str | int]


@dataclass(slots=True)
class _Got(Generic[Row]):
    """What came of one batch of symbols."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    requests: int = 0


class AlpacaClient(Provider):
    """Bars and quotes of alpaca: of the consolidated tape with feed ``sip``, of IEX alone with ``iex``."""

    name: ProviderName

    def __init__(
        self,
        config: AlpacaConfig,
        clock: Clock,
        gate: Gate | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Take settings, clock and what limits the requests."""
        self.name = config.provider
        self._config = config
        self._clock = clock
        self._delayed = config.plan == "free" and config.feed == "sip"
        self._http = Http(
            config.provider,
            config.base_url,
            clock,
            headers={"APCA-API-KEY-ID": config.key_id, "APCA-API-SECRET-KEY": config.secret},
            gate=gate,
            timeouts=timeouts,
            connections=config.inflight,
        )

    @override
    async def bars(self, request: BarsRequest) -> BarsResult:
        request = plain(request, self.name)
        covered = self._covered(request.start_ns, request.end_ns)
        params: Params = {
            "timeframe": _FRAMES[request.interval],
            "adjustment": request.adjustment,
            **self._window(covered),
        }
        parse = partial(parse_bars, provider=self.name, daily=request.interval == "1d")
        got = await self._batches("/v2/stocks/bars", request.symbols, params, parse, covered)
        rows = in_window(_rows(request.symbols, got), request.interval, *covered)
        check_bars(rows, request, self.name)
        return BarsResult(
            rows if request.extended_hours or request.interval == "1d" else in_regular_hours(rows),
            self._source(RULE),
            request.adjustment,
            covered,
            _missing(request.symbols, rows),
            sum(one.requests for one in got),
        )

    @override
    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        request = plain(request, self.name)
        covered: tuple[int, int] | None = None
        if request.start_ns is None or request.end_ns is None:
            path, params = "/v2/stocks/quotes/latest", Params(feed=self._config.feed)
            parse = partial(parse_latest_quotes, provider=self.name)
        else:
            covered = self._covered(request.start_ns, request.end_ns)
            path, params = "/v2/stocks/quotes", self._window(covered)
            parse = partial(parse_quotes, provider=self.name)
        got = await self._batches(path, request.symbols, params, parse, covered)
        rows = _rows(request.symbols, got)
        check_quotes(rows, covered, self.name)
        return QuotesResult(
            rows,
            self._source(""),
            covered,
            _missing(request.symbols, rows),
            sum(one.requests for one in got),
        )

    @override
    async def close(self) -> None:
        await self._http.close()

    async def _batches(
        self,
        path: str,
        symbols: Sequence[str],
        params: Params,
        parse: Callable[[bytes], Page[Row]],
        covered: tuple[int, int] | None,
    ) -> list[_Got[Row]]:
        """Ask for all symbols, so many in a request; for none of a window that is not open yet."""
        if covered is not None and covered[0] >= covered[1]:
            return []
        size = self._config.batch_symbols
        batches = [symbols[at : at + size] for at in range(0, len(symbols), size)]

        async def ask(batch: Sequence[str]) -> _Got[Row]:
            spelled = ",".join(map(ALPACA.vendor, batch))
            return await self._pages(path, {"symbols": spelled, **params}, parse)

        return await each(batches, ask, self._config.inflight)

    async def _pages(self, path: str, params: Params, parse: Callable[[bytes], Page[Row]]) -> _Got[Row]:
        got, seen = _Got[Row](), set[str]()
        first: Row | None = None
        while True:
            answer = self._checked(await self._http.get(path, params))
            got.requests += answer.requests
            page = self._parsed(parse, answer.body)
            begin = next((rows[0] for rows in page.rows.values() if rows), None)
            if begin is not None and begin == first:
                raise self._http.clean(
                    Malformed("next_page_token: the same rows again", provider=self.name, raw=answer.body)
                )
            first = begin
            # a symbol may begin on one page and go on over the next ones
            for symbol, rows in page.rows.items():
                got.rows.setdefault(symbol, []).extend(rows)
            if not page.token:
                return got
            if page.token in seen:
                raise self._http.clean(
                    Malformed("next_page_token: the same page again", provider=self.name, raw=answer.body)
                )
            seen.add(page.token)
            if len(seen) >= self._config.max_pages:
                raise Malformed(
                    f"next_page_token: more than {self._config.max_pages} pages", provider=self.name
                )
            params = {**params, "page_token": page.token}

    def _window(self, covered: tuple[int, int]) -> Params:
        # the vendor's end is inclusive
        start, end = from_ns(covered[0]), from_ns(covered[1] - 1)
        return {
            "start": start,
            "end": end,
            "limit": self._config.page_size,
            "feed": self._config.feed,
            "sort": "asc",
        }

    def _covered(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return what can be answered for now: the free plan's tape ends a quarter of an hour ago."""
        lag_s = self._config.free_sip_lag_s if self._delayed else 0
        until = self._clock.now_ns() - lag_s * SECOND_NS
        return start_ns, max(start_ns, min(end_ns, until))

    def _checked(self, answer: Answer) -> Answer:
        left, reset = remaining(answer.headers), reset_after(answer.headers, self._clock.now_ns())
        if left is not None and left <= 1 and reset:
            self._http.block(reset)
        if answer.status != 200:
            raise self._refused(refusal(answer, self._clock.now_ns(), self.name))
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

    def _source(self, rule: str) -> Source:
        coverage: Final = "consolidated" if self._config.feed == "sip" else "iex"
        return Source(self.name, self._config.feed, coverage, rule, self._delayed)


def _rows(symbols: Sequence[str], got: Sequence[_Got[Row]]) -> list[Row]:
    """Return the rows of the symbols that were asked for: others are nobody's business here."""
    merged = {symbol: rows for one in got for symbol, rows in one.rows.items()}
    return [row for symbol in symbols for row in merged.get(symbol, ())]


def _missing(symbols: Sequence[str], rows: Sequence[BarRow] | Sequence[QuoteRow]) -> tuple[str, ...]:
    found = {row.symbol for row in rows}
    return tuple(symbol for symbol in symbols if symbol not in found)
