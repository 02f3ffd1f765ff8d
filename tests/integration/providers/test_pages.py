"""Pages from the latest to the first: clients never ask so, but what they read must not depend on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import pytest
from pydantic import SecretStr

from providers.alpaca import parse as alpaca
from providers.base import BarRow, BarsRequest, QuoteRow
from providers.http import Http
from providers.polygon import parse as polygon
from providers.polygon.client import PolygonClient
from sandbox.market.calendar import midnight_ns
from sandbox.vendors.server import Emulator
from schemas.provider import INTERVALS, Adjustment, Interval
from tests.integration.providers.month import FEW, LOTS_DAY, SHARES_DAY, at, closing, door_of
from tests.integration.providers.subject import ALPACA, ALPACA_IEX, POLYGON, Subject
from tests.integration.providers.truth import Truth, Window, first_difference

pytestmark = pytest.mark.integration

WINDOW: Window = (at(LOTS_DAY, 0), at(date(2025, 11, 7), 0))
TICKS: Window = (at(LOTS_DAY, 15), at(SHARES_DAY, 10))
SPANS: dict[Interval, tuple[str, str]] = {
    "1m": ("1/minute", "1Min"),
    "5m": ("5/minute", "5Min"),
    "15m": ("15/minute", "15Min"),
    "30m": ("30/minute", "30Min"),
    "1h": ("1/hour", "1Hour"),
    "1d": ("1/day", "1Day"),
}
alpaca_feeds = pytest.mark.parametrize(
    ("subject", "feed"), [(ALPACA, "sip"), (ALPACA_IEX, "iex")], ids=["sip", "iex"]
)


@asynccontextmanager
async def asking(emulator: Emulator, subject: Subject) -> AsyncIterator[Http]:
    """The way that clients ask, without a client."""
    door = door_of(emulator, subject)
    headers = {"APCA-API-KEY-ID": door.key, "APCA-API-SECRET-KEY": door.secret}
    if subject is POLYGON:
        headers = {"Authorization": f"Bearer {door.key}"}
    http = Http(
        subject.name, door.url, door.clock, headers={name: SecretStr(v) for name, v in headers.items()}
    )
    try:
        yield http
    finally:
        await http.close()


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("interval", INTERVALS)
async def test_bars_of_polygon(emulator: Emulator, interval: Interval, order: str) -> None:
    rows: list[BarRow] = []
    pages = 0
    first, last = WINDOW[0] // 1_000_000, WINDOW[1] // 1_000_000 - 1
    path = f"/v2/aggs/ticker/BRK.B/range/{SPANS[interval][0]}/{first}/{last}"
    limit = 2 if interval == "1d" else 250
    async with asking(emulator, POLYGON) as http:
        answer = await http.get(path, {"adjusted": "false", "sort": order, "limit": limit})
        while True:
            page = polygon.parse_bars(answer.body, "BRK.B", daily=interval == "1d", adjusted=False)
            assert page.rows
            rows += page.rows
            pages += 1
            if not page.next_url:
                break
            answer = await http.follow(page.next_url)
    wanted = Truth(emulator.views, POLYGON).bars(["BRK.B"], interval, WINDOW)
    assert not first_difference(rows, wanted if order == "asc" else wanted[::-1])
    assert pages > 2


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_quotes_of_polygon(emulator: Emulator, order: str) -> None:
    rows: list[QuoteRow] = []
    pages = 0
    query: dict[str, str | int] = {
        "timestamp.gte": TICKS[0],
        "timestamp.lt": TICKS[1],
        "sort": "timestamp",
        "limit": 100,
    }
    async with asking(emulator, POLYGON) as http:
        answer = await http.get("/v3/quotes/BRK.B", {**query, "order": order})
        while True:
            page = polygon.parse_quotes(answer.body, "BRK.B")
            assert page.rows
            rows += page.rows
            pages += 1
            if not page.next_url:
                break
            answer = await http.follow(page.next_url)
    wanted = Truth(emulator.views, POLYGON).quotes(["BRK.B"], TICKS)
    assert not first_difference(rows, wanted if order == "asc" else wanted[::-1])
    assert pages > 2


@alpaca_feeds
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("interval", INTERVALS)
async def test_bars_of_alpaca(
    emulator: Emulator, subject: Subject, feed: str, interval: Interval, order: str
) -> None:
    params = {
        "symbols": ",".join(FEW),
        "timeframe": SPANS[interval][1],
        "start": "2025-10-31T04:00:00Z",
        "end": "2025-11-07T04:59:59.999999999Z",
        "limit": "7" if interval in ("1h", "1d") else "90",
        "feed": feed,
        "sort": order,
    }
    found: dict[str, list[BarRow]] = {symbol: [] for symbol in FEW}
    pages = 0
    async with asking(emulator, subject) as http:
        while True:
            answer = await http.get("/v2/stocks/bars", params)
            page = alpaca.parse_bars(answer.body, subject.name, daily=interval == "1d")
            for symbol, rows in page.rows.items():
                found[symbol] += rows
            pages += 1
            if not page.token:
                break
            params["page_token"] = page.token
    for symbol in FEW:
        wanted = Truth(emulator.views, subject).bars([symbol], interval, WINDOW)
        assert not first_difference(found[symbol], wanted if order == "asc" else wanted[::-1]), symbol
    assert pages > 2


@alpaca_feeds
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_quotes_of_alpaca(emulator: Emulator, subject: Subject, feed: str, order: str) -> None:
    params = {
        "symbols": ",".join(FEW),
        "start": "2025-10-31T19:00:00Z",
        "end": "2025-11-03T14:59:59.999999999Z",
        "limit": "60",
        "feed": feed,
        "sort": order,
    }
    found: dict[str, list[QuoteRow]] = {symbol: [] for symbol in FEW}
    pages = 0
    async with asking(emulator, subject) as http:
        while True:
            answer = await http.get("/v2/stocks/quotes", params)
            page = alpaca.parse_quotes(answer.body, subject.name)
            for symbol, rows in page.rows.items():
                found[symbol] += rows
            pages += 1
            if not page.token:
                break
            params["page_token"] = page.token
    for symbol in FEW:
        wanted = Truth(emulator.views, subject).quotes([symbol], TICKS)
        assert not first_difference(found[symbol], wanted if order == "asc" else wanted[::-1]), symbol
    assert pages > 2


@pytest.mark.parametrize("adjustment", ["raw", "split"])
async def test_all_symbols_of_one_session_of_polygon(emulator: Emulator, adjustment: Adjustment) -> None:
    truth = Truth(emulator.views, POLYGON)
    symbols = tuple(emulator.market.symbols[::-1])
    async with closing(POLYGON.make(door_of(emulator, POLYGON))) as client:
        assert isinstance(client, PolygonClient)
        for day in (LOTS_DAY, SHARES_DAY, date(2025, 11, 28)):
            window = midnight_ns(day), midnight_ns(day) + 1
            number = (day - date(1970, 1, 1)).days
            result = await client.session(number, ("NOPE", *symbols), adjustment)
            assert not first_difference(result.rows, truth.bars(symbols, "1d", window, adjustment))
            assert (result.missing, result.requests) == (("NOPE",), 1)
        empty = await client.session((date(2025, 11, 27) - date(1970, 1, 1)).days, symbols, "raw")
        assert (empty.rows, empty.missing) == ([], symbols)
        request = BarsRequest(FEW, "1d", *WINDOW, "all")
        before = len(emulator.log.of("polygon"))
        with pytest.raises(Exception, match="raw and split only"):
            await client.bars(request)
        assert len(emulator.log.of("polygon")) == before
