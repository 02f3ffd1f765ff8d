"""Tiingo by the client that is used for it, ``tiingo``; it has no method for the top of the book."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from functools import partial
from typing import Any
from urllib.request import Request, urlopen

import pytest
import tiingo
from tiingo.restclient import RestClientError

from sandbox.market.calendar import day_of
from tests.conformance.world import DAYS, HURRIED, LISTENERS, MINUTES, NS, World

SYMBOL = "AAPL"


def client(world: World, key: str = "") -> Any:
    """Return the client."""
    one = tiingo.TiingoClient({"api_key": key or world.emulator.keys["tiingo"]})
    one._base_url = world.emulator.urls["tiingo"]
    return one


def ns(text: str) -> int:
    """Read a timestamp to the nanosecond."""
    seconds, _, rest = text.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    zone = rest[len(digits) :] if rest else ""
    at = datetime.fromisoformat(seconds + zone if rest else text)
    return int(at.timestamp()) * NS + int(digits.ljust(9, "0") or 0)


def minute_bars(world: World) -> None:
    day = day_of(MINUTES[0]).isoformat()
    got = client(world).get_ticker_price(
        SYMBOL,
        startDate=day,
        endDate=day,
        frequency="1min",
        fmt="json",
        columns="open,high,low,close,volume",
    )
    rows = world.views.bars("tiingo", "", SYMBOL, "1m", *MINUTES, "raw", world.now_ns, extended=False)
    assert len(rows) > 100
    for bar, row in zip(got, rows, strict=True):
        assert ns(bar["date"]) == row.ts_ns
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (
            row.open,
            row.high,
            row.low,
            row.close,
        )
        if "volume" in bar:
            assert bar["volume"] == pytest.approx(row.volume, abs=1.0)


def day_bars(world: World) -> None:
    start, end = (day_of(t).isoformat() for t in (DAYS[0], DAYS[1] - 1))
    for symbol, field, adjustment in (("AAPL", "{}", "raw"), ("TSLA", "adj{}", "all")):
        got = client(world).get_ticker_price(symbol, startDate=start, endDate=end)
        rows = world.bars("tiingo", symbol, "1d", DAYS, adjustment)
        names = [
            field.format(n.title() if adjustment == "all" else n) for n in ("open", "high", "low", "close")
        ]
        for bar, row in zip(got, rows, strict=True):
            assert (
                datetime.fromisoformat(bar["date"]).strftime("%Y-%m-%dT%H:%M:%S%z")
                == f"{row.day}T00:00:00+0000"
            )
            values = [bar[name] for name in names]
            assert values == pytest.approx([row.open, row.high, row.low, row.close], abs=1e-4)
            assert bar["volume" if adjustment == "raw" else "adjVolume"] == pytest.approx(row.volume, abs=1.0)


def empty(world: World) -> None:
    # a Saturday
    assert client(world).get_ticker_price(SYMBOL, startDate="2025-11-08", endDate="2025-11-08") == []


def quote(world: World) -> None:
    url = f"{world.emulator.urls['tiingo']}/iex/?tickers=aapl"
    request = Request(url, headers={"Authorization": f"Token {world.emulator.keys['tiingo']}"})
    with urlopen(request) as answer:
        (got,) = json.load(answer)
    q = world.views.last_quote("iex", SYMBOL, world.now_ns)
    assert q is not None
    assert got["ticker"] == SYMBOL
    assert (got["bidPrice"], got["bidSize"], got["askPrice"], got["askSize"]) == (
        q.bid,
        q.bid_size,
        q.ask,
        q.ask_size,
    )
    assert ns(got["quoteTimestamp"]) == q.ts_ns


def refused(world: World, key: str, symbol: str, status: str, times: int = 1) -> None:
    one = client(world, key)
    ask = partial(one.get_ticker_price, symbol, startDate="2025-11-03", endDate="2025-11-05")
    for _ in range(times - 1):
        ask()
    with pytest.raises(RestClientError, match=status):
        ask()


def listen(world: World, key: str, level: int, enough: int) -> list[dict[str, Any]]:
    """Return what came."""
    got: list[dict[str, Any]] = []
    base = world.emulator.feeds["tiingo"].removesuffix("/iex")

    class Socket(tiingo.TiingoWebsocketClient):  # type: ignore[misc]
        _base_url = property(lambda self: base, lambda self, value: None)

    asked = {
        "eventName": "subscribe",
        "authorization": key,
        "eventData": {"thresholdLevel": level, "tickers": ["aapl"]},
    }
    # the client blocks for ever: it ends with the process
    run = threading.Thread(
        target=lambda: Socket(asked, endpoint="iex", on_msg_cb=lambda text: got.append(json.loads(text))),
        daemon=True,
    )
    run.start()
    world.pass_time(900, lambda: len([m for m in got if m["messageType"] in "AE"]) >= enough)
    return got


def ws_quote(world: World) -> None:
    began = world.now_ns
    got = listen(world, LISTENERS[0], 5, 10)
    assert got[0]["response"] == {"code": 200, "message": "Success"}
    quotes = [m["data"] for m in got if m["messageType"] == "A" and m["data"][0] == "Q"]
    truth = {q.ts_ns: q for q in world.quotes(SYMBOL, (began, world.now_ns + 1), "iex")}
    assert quotes
    for data in quotes:
        q = truth[data[2]]
        assert data[3] == "aapl"
        assert [data[n] or 0 for n in (4, 5, 7, 8)] == [q.bid_size, q.bid, q.ask, q.ask_size]


def ws_trade(world: World) -> None:
    began = world.now_ns
    got = listen(world, LISTENERS[1], 5, 25)
    trades = [m["data"] for m in got if m["messageType"] == "A" and m["data"][0] == "T"]
    truth = {t.ts_ns: t for t in world.published(SYMBOL, began, "iex")}
    assert trades
    for data in trades:
        t = truth[data[2]]
        assert (data[9], data[10]) == (t.price, pytest.approx(t.size, abs=1.0))


def login_bad(world: World) -> None:
    got = listen(world, "nobody", 5, 1)
    assert got[0]["messageType"] == "E"


CELLS = {
    "minute bars, paged": minute_bars,
    "day bars": day_bars,
    "empty": empty,
    "quote": quote,
    "401": lambda world: refused(world, "nobody", SYMBOL, "401"),
    "404": lambda world: refused(world, "", "NOBODY", "404"),
    "429": lambda world: refused(world, HURRIED, SYMBOL, "429", 3),
    "ws login bad": login_bad,
    "ws login ok, trade": ws_trade,
    "ws quote": ws_quote,
}
