"""alpaca by its own client, ``alpaca-py``: MessagePack on the WebSocket."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockQuotesRequest,
)
from alpaca.data.timeframe import TimeFrame

from sandbox.market.views import Row, lots
from tests.conformance.world import DAYS, HURRIED, MINUTES, NS, World

SYMBOLS = ["AAPL", "BRK.B", "IBM"]


def moment(ns: int) -> datetime:
    """Return a moment as the client has it: to the microsecond."""
    return datetime.fromtimestamp(ns // NS, UTC).replace(microsecond=ns // 1000 % 1_000_000)


def client(world: World, key: str = "", secret: str = "") -> Any:
    """Return the client, which repeats nothing by itself."""
    key = key or world.emulator.keys["alpaca"]
    one = StockHistoricalDataClient(
        key, secret or world.emulator.secret(key) or "x", url_override=world.emulator.urls["alpaca"]
    )
    one._retry = 0
    return one


def same(got: Any, row: Row) -> None:
    """Compare a bar in every value."""
    assert got.timestamp == moment(row.ts_ns)
    assert (got.open, got.high, got.low, got.close) == (row.open, row.high, row.low, row.close)
    assert got.volume == pytest.approx(row.volume, abs=1.0)
    assert got.vwap == pytest.approx(row.vwap, abs=1e-5)
    assert got.trade_count == row.count


def minute_bars_paged(world: World) -> None:
    # all symbols of three sessions are several pages of 10,000
    window = MINUTES[0] - 2 * 86_400 * NS, MINUTES[1]
    request = StockBarsRequest(
        symbol_or_symbols=world.market.symbols,
        timeframe=TimeFrame.Minute,
        start=moment(window[0]),
        end=moment(window[1] - 1000),
    )
    got = client(world).get_stock_bars(request).data
    assert sum(map(len, got.values())) > 15_000
    assert set(got) == set(world.market.symbols)
    for symbol in (*SYMBOLS, max(got)):
        for one, row in zip(got[symbol], world.bars("alpaca", symbol, "1m", window), strict=True):
            same(one, row)


def day_bars(world: World) -> None:
    for adjustment in ("raw", "split", "all"):
        request = StockBarsRequest(
            symbol_or_symbols="TSLA",
            timeframe=TimeFrame.Day,
            start=moment(DAYS[0]),
            end=moment(DAYS[1] - 1000),
            adjustment=Adjustment(adjustment),
        )
        got = client(world).get_stock_bars(request).data["TSLA"]
        for one, row in zip(got, world.bars("alpaca", "TSLA", "1d", DAYS, adjustment), strict=True):
            same(one, row)


def empty(world: World) -> None:
    request = StockBarsRequest(
        symbol_or_symbols="NOBODY", timeframe=TimeFrame.Day, start=moment(DAYS[0]), end=moment(DAYS[1])
    )
    assert client(world).get_stock_bars(request).data == {}


def quote(world: World) -> None:
    got = client(world).get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "NOBODY"]))
    assert set(got) == {"AAPL"}
    q = world.views.last_quote("", "AAPL", world.now_ns)
    assert q is not None
    _same_quote(got["AAPL"], q, q.bid_size, q.ask_size)
    window = DAYS[0] + 36_000 * NS, DAYS[0] + 36_120 * NS
    request = StockQuotesRequest(
        symbol_or_symbols="AAPL", start=moment(window[0]), end=moment(window[1] - 1000)
    )
    listed = client(world).get_stock_quotes(request).data["AAPL"]
    for one, q in zip(listed, world.quotes("AAPL", window), strict=True):
        # round lots before 3 November 2025
        _same_quote(one, q, lots(q.bid_size, q.ts_ns), lots(q.ask_size, q.ts_ns))


def _same_quote(got: Any, q: Any, bid_size: int, ask_size: int) -> None:
    assert got.timestamp == moment(q.ts_ns)
    assert (got.bid_price, got.bid_size) == (q.bid, bid_size)
    assert (got.ask_price, got.ask_size) == (q.ask, ask_size)
    assert (got.bid_exchange.strip(), got.ask_exchange.strip()) == (
        q.bid_venue if q.bid else "",
        q.ask_venue if q.ask else "",
    )


def refused(world: World, key: str, text: str, times: int = 1) -> None:
    request = StockBarsRequest(
        symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, start=moment(DAYS[0]), end=moment(world.now_ns)
    )
    ask = partial(client(world, key).get_stock_bars, request)
    for _ in range(times - 1):
        ask()
    with pytest.raises(APIError, match=text):
        ask()


def listen(world: World, subscribe: Any, enough: int) -> tuple[int, list[Any]]:
    """Return when listening began, and what came."""
    got: list[Any] = []
    key = world.emulator.keys["alpaca"]
    stream = StockDataStream(key, world.emulator.secret(key), url_override=_feed(world))

    async def take(message: Any) -> None:
        got.append(message)

    subscribe(stream, take)
    run = threading.Thread(target=stream.run, daemon=True)
    began = world.now_ns
    run.start()
    try:
        world.pass_time(900, lambda: len(got) >= enough or not run.is_alive())
    finally:
        if run.is_alive():
            stream.stop()
            run.join(10)
    return began, got


def login_bad(world: World) -> None:
    """The client tries for ever, and says why in its log alone."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log, listener = logging.getLogger("alpaca.data.live.websocket"), Listener()
    log.addHandler(listener)
    try:
        stream = StockDataStream("nobody", "x", url_override=_feed(world))

        async def take(_: Any) -> None:
            raise AssertionError("nothing is to be heard")

        stream.subscribe_trades(take, "AAPL")
        run = threading.Thread(target=stream.run, daemon=True)
        run.start()
        world.pass_time(1, lambda: any("auth failed" in text for text in said))
        stream.stop()
        run.join(10)
    finally:
        log.removeHandler(listener)


def _feed(world: World) -> str:
    return world.emulator.feeds["alpaca"].replace("{feed}", "sip")


def ws_trade(world: World) -> None:
    began, got = listen(world, lambda stream, take: stream.subscribe_trades(take, "AAPL"), 20)
    trades = {t.trade_id: t for t in world.published("AAPL", began)}
    ids, known = [m.id for m in got], list(trades)
    first = known.index(ids[0])
    assert ids == known[first : first + len(ids)]
    for m in got:
        t = trades[m.id]
        assert (m.price, m.exchange) == (t.price, t.venue)
        assert m.size == pytest.approx(t.size, abs=1.0)
        assert m.timestamp == moment(t.ts_ns)


def ws_quote(world: World) -> None:
    began, got = listen(world, lambda stream, take: stream.subscribe_quotes(take, "AAPL"), 20)
    truth = world.quotes("AAPL", (began, world.now_ns + 1))
    first = next(i for i, q in enumerate(truth) if moment(q.ts_ns) == got[0].timestamp)
    for m, q in zip(got, truth[first:], strict=False):
        _same_quote(m, q, q.bid_size, q.ask_size)


def ws_bar(world: World) -> None:
    _, got = listen(world, lambda stream, take: stream.subscribe_bars(take, "AAPL"), 3)
    for m in got:
        start = int(m.timestamp.timestamp()) * NS
        row = world.views.minute_row("alpaca", "sip", "AAPL", start, world.now_ns)
        assert row is not None
        # a later print may have changed it since
        assert (m.open, m.low >= row.low, m.high <= row.high) == (row.open, True, True)


CELLS = {
    "minute bars, paged": minute_bars_paged,
    "day bars": day_bars,
    "empty": empty,
    "quote": quote,
    "401": lambda world: refused(world, "nobody", "forbidden|unauthorized"),
    "403": lambda world: refused(world, "alpaca-free", "subscription does not permit"),
    "429": lambda world: refused(world, HURRIED, "too many requests", 3),
    "ws login bad": login_bad,
    "ws login ok, trade": ws_trade,
    "ws quote": ws_quote,
    "ws bar": ws_bar,
}
