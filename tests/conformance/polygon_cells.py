"""polygon by its own client, ``massive``."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import massive
import pytest
from massive.exceptions import AuthError, BadResponse
from urllib3.exceptions import MaxRetryError

from sandbox.market.views import Row, lots
from tests.conformance.world import DAYS, HURRIED, MINUTES, World

SYMBOL = "AAPL"
MS = 1_000_000
EXCHANGES = {"K": 8, "N": 10, "P": 11, "Q": 12, "V": 15, "Y": 18, "Z": 19}


def client(world: World, key: str = "") -> Any:
    """Return the client, which repeats nothing by itself."""
    key = key or world.emulator.keys["polygon"]
    return massive.RESTClient(api_key=key, base=world.emulator.urls["polygon"], retries=0)


def same(got: Any, row: Row) -> None:
    """Compare a bar in every value."""
    assert type(got.timestamp) is int
    assert got.timestamp == row.ts_ns // MS
    assert (got.open, got.high, got.low, got.close) == (row.open, row.high, row.low, row.close)
    assert got.volume == pytest.approx(row.volume, abs=1e-6)
    assert got.vwap == pytest.approx(row.vwap, abs=1e-4)
    assert got.transactions == row.count


def minute_bars_paged(world: World) -> None:
    start, end = (t // MS for t in MINUTES)
    got = list(client(world).list_aggs(SYMBOL, 1, "minute", start, end - 1, adjusted=False, limit=200))
    rows = world.bars("polygon", SYMBOL, "1m", MINUTES)
    assert len(got) == len(rows) > 400
    for one, row in zip(got, rows, strict=True):
        same(one, row)


def day_bars(world: World) -> None:
    for symbol, adjusted in (("AAPL", False), ("TSLA", True)):
        got = list(
            client(world).list_aggs(symbol, 1, "day", DAYS[0] // MS, DAYS[1] // MS - 1, adjusted=adjusted)
        )
        rows = world.bars("polygon", symbol, "1d", DAYS, "split" if adjusted else "raw")
        for one, row in zip(got, rows, strict=True):
            same(one, row)


def empty(world: World) -> None:
    assert list(client(world).list_aggs("NOBODY", 1, "day", "2025-11-03", "2025-11-05")) == []


def quote(world: World) -> None:
    got = client(world).get_last_quote(SYMBOL)
    q = world.views.last_quote("", SYMBOL, world.now_ns)
    assert q is not None
    assert (got.sip_timestamp, got.sequence_number) == (q.ts_ns, q.seq)
    assert (got.bid_price or 0, got.bid_size or 0) == (q.bid, lots(q.bid_size, q.ts_ns))
    assert (got.ask_price or 0, got.ask_size or 0) == (q.ask, lots(q.ask_size, q.ts_ns))
    # before 3 November 2025 sizes are round lots
    window = DAYS[0] + 10 * 3_600_000_000_000, DAYS[0] + 10 * 3_600_000_000_000 + 120_000_000_000
    listed = list(
        client(world).list_quotes(
            SYMBOL, timestamp_gte=window[0], timestamp_lt=window[1], order="asc", limit=50
        )
    )
    quotes = world.quotes(SYMBOL, window)
    assert len(quotes) > 3
    for one, q in zip(listed, quotes, strict=True):
        assert (one.sip_timestamp, one.sequence_number) == (q.ts_ns, q.seq)
        assert (one.bid_price, one.bid_size) == (q.bid, lots(q.bid_size, q.ts_ns))
        assert (one.ask_price, one.ask_size) == (q.ask, lots(q.ask_size, q.ts_ns))
        assert one.bid_exchange == (EXCHANGES[q.bid_venue] if q.bid else 0)


def unauthorized(world: World) -> None:
    with pytest.raises(BadResponse, match="Unknown API Key"):
        client(world, "nobody").get_last_quote(SYMBOL)


def forbidden(world: World) -> None:
    with pytest.raises(BadResponse, match="NOT_AUTHORIZED"):
        client(world, "polygon-free").get_last_quote(SYMBOL)


def not_found(world: World) -> None:
    with pytest.raises(BadResponse, match="NOT_FOUND"):
        client(world).get_last_quote("NOBODY")


def too_many(world: World) -> None:
    hurried = client(world, HURRIED)
    for _ in range(2):
        hurried.get_last_quote(SYMBOL)
    with pytest.raises(MaxRetryError, match="429"):
        hurried.get_last_quote(SYMBOL)


def listen(world: World, channels: list[str], enough: int, key: str = "") -> tuple[int, list[Any]]:
    """Return when listening began, and what came."""
    got: list[Any] = []
    host = world.emulator.feeds["polygon"].removeprefix("ws://").partition("/")[0]
    socket = massive.WebSocketClient(
        api_key=key or world.emulator.keys["polygon"],
        feed=host,
        market="stocks",
        secure=False,
        subscriptions=channels,
        max_reconnects=0,
    )

    async def take(messages: list[Any]) -> None:
        got.extend(messages)

    async def main() -> None:
        connection = asyncio.create_task(socket.connect(take))
        over = threading.Event()
        passing = asyncio.create_task(
            asyncio.to_thread(world.pass_time, 600, lambda: len(got) >= enough or over.is_set())
        )
        done, _ = await asyncio.wait({connection, passing}, return_when=asyncio.FIRST_COMPLETED)
        if connection in done:
            over.set()
            await passing
            connection.result()
        else:
            passing.result()
        await socket.close()
        connection.cancel()
        await asyncio.gather(connection, return_exceptions=True)

    began = world.now_ns
    asyncio.run(main())
    return began, got


def login_bad(world: World) -> None:
    with pytest.raises(AuthError):
        listen(world, ["T.AAPL"], 1, key="nobody")


def ws_trade(world: World) -> None:
    began, got = listen(world, ["T.AAPL"], 20)
    trades = {t.trade_id: t for t in world.published(SYMBOL, began)}
    ids = [int(m.id) for m in got]
    known = list(trades)
    first = known.index(ids[0])
    assert ids == known[first : first + len(ids)], "every trade once, in order"
    for m in got:
        t = trades[int(m.id)]
        assert (m.symbol, m.price, m.size, m.timestamp) == (SYMBOL, t.price, t.size, t.ts_ns // MS)
        assert m.sequence_number == t.seq


def ws_quote(world: World) -> None:
    began, got = listen(world, ["Q.AAPL"], 20)
    quotes = {q.seq: q for q in world.quotes(SYMBOL, (began, world.now_ns + 1))}
    seqs = [m.sequence_number for m in got]
    known = list(quotes)
    first = known.index(seqs[0])
    assert seqs == known[first : first + len(seqs)]
    for m in got:
        q = quotes[m.sequence_number]
        assert (m.bid_price, m.bid_size, m.ask_price, m.ask_size) == (q.bid, q.bid_size, q.ask, q.ask_size)
        assert m.timestamp == q.ts_ns // MS


def ws_bar(world: World) -> None:
    _, got = listen(world, ["AM.AAPL"], 3)
    for m in got:
        row = world.views.minute_row("polygon", "", SYMBOL, m.start_timestamp * MS, world.now_ns)
        assert row is not None
        assert (m.open, m.high, m.low, m.close) == (row.open, row.high, row.low, row.close)
        assert m.end_timestamp - m.start_timestamp == 60_000
        assert m.volume == pytest.approx(row.volume, abs=1.0)


CELLS = {
    "minute bars, paged": minute_bars_paged,
    "day bars": day_bars,
    "empty": empty,
    "quote": quote,
    "401": unauthorized,
    "403": forbidden,
    "404": not_found,
    "429": too_many,
    "ws login bad": login_bad,
    "ws login ok, trade": ws_trade,
    "ws quote": ws_quote,
    "ws bar": ws_bar,
}
