"""finnhub by its own client, ``finnhub-python``; it has none for the WebSocket."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import finnhub
import pytest
import websockets
from finnhub.exceptions import FinnhubAPIException

from sandbox.market.calendar import day_of
from tests.conformance.world import DAYS, HURRIED, MINUTES, NS, World

SYMBOL = "AAPL"


def client(world: World, key: str = "") -> Any:
    """Return the client."""
    finnhub.Client.API_URL = world.emulator.urls["finnhub"]
    return finnhub.Client(key or world.emulator.keys["finnhub"])


def compare(got: dict[str, Any], world: World, resolution: str, window: tuple[int, int]) -> None:
    """Compare columns in every value."""
    daily = resolution == "D"
    rows = world.bars("finnhub", SYMBOL, "1d" if daily else "1m", window, "split" if daily else "raw")
    assert got["s"] == "ok"
    assert {len(got[column]) for column in "tohlcv"} == {len(rows)}
    for i, row in enumerate(rows):
        midnight_utc = (row.day.toordinal() - 719_163) * 86_400
        assert got["t"][i] == (midnight_utc if daily else row.ts_ns // NS)
        assert (got["o"][i], got["h"][i], got["l"][i], got["c"][i]) == (
            row.open,
            row.high,
            row.low,
            row.close,
        )
        assert got["v"][i] == pytest.approx(row.volume, abs=1.0)


def minute_bars(world: World) -> None:
    start, end = (t // NS for t in MINUTES)
    compare(client(world).stock_candles(SYMBOL, "1", start, end - 1), world, "1", MINUTES)


def day_bars(world: World) -> None:
    # a day's stamp is 00:00 UTC, five hours before New York's: the window is of those
    start, end = (day_of(t).toordinal() - 719_163 for t in DAYS)
    compare(client(world).stock_candles(SYMBOL, "D", start * 86_400, end * 86_400 - 1), world, "D", DAYS)


def empty(world: World) -> None:
    start, end = (t // NS for t in DAYS)
    assert client(world).stock_candles("NOBODY", "D", start, end) == {"s": "no_data"}


def quote(world: World) -> None:
    got = client(world).last_bid_ask(SYMBOL)
    q = world.views.last_quote("", SYMBOL, world.now_ns)
    assert q is not None
    assert (got["b"], got["bv"], got["a"], got["av"]) == (q.bid, q.bid_size, q.ask, q.ask_size)
    assert got["t"] == q.ts_ns // 1_000_000


def refused(world: World, key: str, status: int, text: str, times: int = 1) -> None:
    start, end = (t // NS for t in DAYS)
    ask = partial(client(world, key).stock_candles, SYMBOL, "D", start, end)
    for _ in range(times - 1):
        ask()
    with pytest.raises(FinnhubAPIException, match=text) as refusal:
        ask()
    assert refusal.value.status_code == status


def zeros(world: World) -> None:
    got = client(world).quote("NOBODY")
    assert (got["c"], got["h"], got["l"], got["o"], got["pc"], got["t"]) == (0, 0, 0, 0, 0, 0)


def ws_trade(world: World) -> None:
    got: list[dict[str, Any]] = []

    async def hear(socket: Any) -> None:
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "trade":
                got.extend(message["data"])

    async def main() -> None:
        url = world.emulator.feeds["finnhub"].replace("{key}", world.emulator.keys["finnhub"])
        async with websockets.connect(url) as socket:
            await socket.send(json.dumps({"type": "subscribe", "symbol": SYMBOL}))
            passing = asyncio.create_task(asyncio.to_thread(world.pass_time, 3600, lambda: len(got) >= 3))
            hearing = asyncio.create_task(hear(socket))
            await asyncio.wait({passing, hearing}, return_when=asyncio.FIRST_COMPLETED)
            hearing.cancel()
            await passing

    began = world.now_ns
    asyncio.run(main())
    truth = [(t.price, t.ts_ns // 1_000_000, t.size) for t in world.published(SYMBOL, began, "iex")]
    # a price without a volume is an update of the price, no trade
    heard = [(m["p"], m["t"], m["v"]) for m in got if m["v"]]
    assert {m["s"] for m in got} == {SYMBOL}
    first = truth.index(heard[0])
    assert heard == truth[first : first + len(heard)]


CELLS = {
    "minute bars, paged": minute_bars,
    "day bars": day_bars,
    "empty": empty,
    "quote": quote,
    "401": lambda world: refused(world, "nobody", 401, "Invalid API key"),
    "403": lambda world: refused(world, "finnhub-free", 403, "don't have access"),
    "404": zeros,
    "429": lambda world: refused(world, HURRIED, 429, "API limit reached", 3),
    "ws login ok, trade": ws_trade,
}
