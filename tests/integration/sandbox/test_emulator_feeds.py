"""The emulator's feeds: every tick of the truth once, in the vendor's words; logins, limits, troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from sandbox.market.calendar import MINUTE_NS, day_of
from sandbox.market.conditions import Sale
from sandbox.market.records import Trade
from sandbox.market.views import Views
from sandbox.vendors.feed import Feed
from sandbox.vendors.plans import VENDORS, VendorName
from sandbox.vendors.server import Emulator
from tests.integration.sandbox.vendors import MARKET, NOW, NS, Socket, at, connected, running

VIEWS = Views(MARKET)
MS = 1_000_000
DAY = day_of(NOW)


def published(symbol: str, after: int, until: int, feed: str = "") -> list[Trade]:
    trades = MARKET.trades(symbol, DAY)
    found = [t for t in trades if after < t.arrival_ns <= until and (feed != "iex" or t.venue == "V")]
    return sorted(found, key=lambda trade: trade.arrival_ns)


def at_minute(ts_ns: int) -> int:
    return ts_ns - ts_ns % MINUTE_NS


# polygon


async def polygon(socket: Socket, channels: str, key: str = "polygon-paid") -> None:
    assert await socket.next() == [
        {"ev": "status", "status": "connected", "message": "Connected Successfully"}
    ]
    await socket.say({"action": "auth", "params": key})
    assert await socket.next() == [{"ev": "status", "status": "auth_success", "message": "authenticated"}]
    await socket.say({"action": "subscribe", "params": channels})
    for name in channels.split(","):
        assert await socket.next() == [
            {"ev": "status", "status": "success", "message": f"subscribed to: {name}"}
        ]


async def test_polygon_sends_every_trade_quote_and_bar_once() -> None:
    end = NOW + 3 * MINUTE_NS + NS
    async with (
        running() as (emulator, time, client),
        connected(client, emulator.feeds["polygon"]) as socket,
    ):
        await polygon(socket, "Q.IBM,AM.IBM,T.IBM")
        trades = published("IBM", NOW, end)
        quotes = [q for q in MARKET.quotes("IBM", DAY) if NOW < q.ts_ns <= end]
        bars = VIEWS.bars("polygon", "", "IBM", "1m", NOW - MINUTE_NS, end - MINUTE_NS, "raw", end)
        for _ in range(6):
            time.advance((end - NOW) / 6 / NS)
        got = await socket.collect(len(trades) + len(quotes) + len(bars))
    by_kind = {kind: [m for m in got if m["ev"] == kind] for kind in ("T", "Q", "AM")}
    assert [int(m["i"]) for m in by_kind["T"]] == [trade.trade_id for trade in trades]
    assert [(m["p"], m["s"], m["t"]) for m in by_kind["T"]] == [
        (trade.price, trade.size, trade.ts_ns // MS) for trade in trades
    ]
    assert [(m["bp"], m["ap"], m["q"]) for m in by_kind["Q"]] == [(q.bid, q.ask, q.seq) for q in quotes]
    minutes = {m["s"]: m for m in by_kind["AM"]}
    assert list(minutes) == [row.ts_ns // MS for row in bars]
    for row in bars:
        bar = minutes[row.ts_ns // MS]
        assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (row.open, row.high, row.low, row.close)
        assert bar["e"] - bar["s"] == 60_000
        assert bar["av"] > bar["v"]
    opening = next(t for t in MARKET.trades("IBM", DAY) if Sale.OPENING in t.sales)
    assert {bar["op"] for bar in minutes.values()} == {opening.price}


async def test_polygon_sends_a_bar_again_when_a_late_print_lands() -> None:
    late = next(
        t
        for t in MARKET.trades("AAPL", DAY)
        if Sale.OUT_OF_SEQUENCE in t.sales and 60 * NS < t.arrival_ns - t.ts_ns < 890 * NS
    )
    async with (
        running(late.arrival_ns - NS) as (emulator, time, client),
        connected(client, emulator.feeds["polygon"]) as socket,
    ):
        await polygon(socket, "AM.AAPL")
        time.advance(2)
        start = at_minute(late.ts_ns)
        (bar,) = await socket.collect(1, lambda m: m["s"] == start // MS)
    row = VIEWS.minute_row("polygon", "", "AAPL", start, late.arrival_ns)
    assert row is not None
    assert (bar["v"], bar["l"]) == (row.volume, row.low)


async def test_polygon_tells_a_connection_too_many_only_after_it_has_subscribed() -> None:
    async with (
        running() as (emulator, _, client),
        connected(client, emulator.feeds["polygon"]) as first,
        connected(client, emulator.feeds["polygon"]) as second,
    ):
        await polygon(first, "T.IBM")
        await polygon(second, "T.IBM")
        assert (await second.next())[0]["status"] == "max_connections"
        assert await second.closed() == aiohttp.WSCloseCode.POLICY_VIOLATION


@pytest.mark.parametrize("key", ["nobody", "polygon-free"])
async def test_polygon_refuses_a_login(key: str) -> None:
    async with (
        running() as (emulator, _, client),
        connected(client, emulator.feeds["polygon"]) as socket,
    ):
        await socket.next()
        await socket.say({"action": "auth", "params": key})
        assert (await socket.next())[0]["status"] == "auth_failed"
        assert await socket.closed() == aiohttp.WSCloseCode.POLICY_VIOLATION


# alpaca


def stamped(ts_ns: int) -> bytes:
    """MessagePack's own timestamp: fixext 8, type -1, nanoseconds in the upper 30 bits."""
    seconds, nanos = divmod(ts_ns, NS)
    return b"\xd7\xff" + (nanos << 34 | seconds).to_bytes(8, "big")


async def alpaca(socket: Socket, key: str = "alpaca-paid", **channels: list[str]) -> Any:
    assert await socket.next() == [{"T": "success", "msg": "connected"}]
    await socket.say({"action": "auth", "key": key, "secret": f"{key}-secret"})
    assert await socket.next() == [{"T": "success", "msg": "authenticated"}]
    await socket.say({"action": "subscribe", **channels})
    return await socket.next()


async def test_alpaca_json_has_the_kind_first_and_always_tells_the_whole_set() -> None:
    async with running() as (emulator, time, client):
        url = emulator.feeds["alpaca"].format(feed="sip")
        async with connected(client, url) as socket:
            now = await alpaca(socket, trades=["IBM"], bars=["*"])
            await socket.say({"quotes": ["IBM"], "action": "subscribe"})
            later = await socket.next()
            time.advance(120)
            got = await socket.collect(40)
    assert now[0]["corrections"] == now[0]["cancelErrors"] == ["IBM"]
    assert now[0]["bars"] == ["*"]
    assert (later[0]["trades"], later[0]["quotes"]) == (["IBM"], ["IBM"])
    assert {next(iter(message)) for message in got} == {"T"}
    assert {message["T"] for message in got} == {"t", "q", "b"}


async def test_alpaca_msgpack_has_times_exact_to_the_nanosecond() -> None:
    raw: list[bytes] = []

    def decode(data: bytes) -> Any:
        raw.append(data)
        return msgspec.msgpack.decode(data)

    headers = {"Content-Type": "application/msgpack"}
    async with running() as (emulator, time, client):
        url = emulator.feeds["alpaca"].format(feed="sip")
        async with connected(client, url, decode, headers=headers) as socket:
            assert await socket.next() == [{"T": "success", "msg": "connected"}]
            auth = {"action": "auth", "key": "alpaca-paid", "secret": "alpaca-paid-secret"}
            await socket.socket.send_bytes(msgspec.msgpack.encode(auth))
            await socket.next()
            wanted = msgspec.msgpack.encode({"trades": ["AAPL"], "action": "subscribe"})
            await socket.socket.send_bytes(wanted)
            assert (await socket.next())[0]["trades"] == ["AAPL"]
            expected = published("AAPL", NOW, NOW + MINUTE_NS)
            time.advance(60)
            got = await socket.collect(len(expected))
    assert [m["i"] for m in got] == [trade.trade_id for trade in expected]
    assert [list(m)[:2] for m in got] == [["T", "S"]] * len(got)
    everything = b"".join(raw)
    assert all(stamped(trade.ts_ns) in everything for trade in expected)


@pytest.mark.parametrize("kind", ["correction", "bust"])
async def test_alpaca_sends_corrections_and_cancels_with_trades(kind: str) -> None:
    said = next(a for a in MARKET.amendments("AAPL", DAY) if a.kind == kind)
    async with (
        running(said.at_ns - NS) as (emulator, time, client),
        connected(client, emulator.feeds["alpaca"].format(feed="sip")) as socket,
    ):
        await alpaca(socket, trades=["AAPL"], updatedBars=["AAPL"])
        time.advance(100)
        letter = {"correction": "c", "bust": "x"}[kind]
        (message,) = await socket.collect(1, lambda m: m["T"] == letter)
        start = at_minute(said.original.ts_ns)
        (bar,) = await socket.collect(1, lambda m: m["T"] == "u" and at(m["t"]) == start)
    if said.corrected is None:
        assert (message["i"], message["p"]) == (said.original.trade_id, said.original.price)
        assert bar["h"] < said.original.price
    else:
        assert (message["oi"], message["op"]) == (said.original.trade_id, said.original.price)
        assert (message["cp"], message["cs"]) == (said.corrected.price, int(said.corrected.size))
        row = VIEWS.minute_row("alpaca", "sip", "AAPL", start, said.at_ns + 60 * NS)
        assert row is not None
        assert (bar["h"], bar["v"], bar["n"]) == (row.high, row.volume, row.count)


@pytest.mark.parametrize(
    ("key", "secret", "feed", "code"),
    [
        ("alpaca-paid", "wrong", "sip", 402),
        ("alpaca-free", "alpaca-free-secret", "sip", 409),
    ],
)
async def test_alpaca_refuses_a_login(key: str, secret: str, feed: str, code: int) -> None:
    async with (
        running() as (emulator, _, client),
        connected(client, emulator.feeds["alpaca"].format(feed=feed)) as socket,
    ):
        await socket.next()
        await socket.say({"action": "subscribe", "trades": ["AAPL"]})
        assert (await socket.next())[0]["code"] == 401
        await socket.say({"action": "auth", "key": key, "secret": secret})
        (error,) = await socket.next()
    assert (error["T"], error["code"]) == ("error", code)


async def test_alpaca_limits_symbols_and_connections_of_the_free_plan() -> None:
    async with running() as (emulator, _, client):
        url = emulator.feeds["alpaca"].format(feed="iex")
        async with connected(client, url) as first, connected(client, url) as second:
            many = [f"S{n}" for n in range(31)]
            assert (await alpaca(first, key="alpaca-free", trades=many))[0]["code"] == 405
            await second.next()
            await second.say({"action": "auth", "key": "alpaca-free", "secret": "alpaca-free-secret"})
            assert (await second.next())[0]["code"] == 406


# finnhub and Tiingo


async def test_finnhub_sends_trades_of_iex_alone() -> None:
    end = NOW + 30 * MINUTE_NS
    async with (
        running() as (emulator, time, client),
        connected(client, emulator.feeds["finnhub"].format(key="finnhub-paid")) as socket,
    ):
        await socket.say({"type": "subscribe", "symbol": "NOPE"})
        assert await socket.next() == {"type": "error", "msg": "Invalid symbol"}
        await socket.say({"type": "subscribe", "symbol": "AAPL"})
        await until_subscribed(emulator, "finnhub")
        expected = published("AAPL", NOW, end, "iex")
        time.set(end)
        frame = await socket.next()
    assert frame["type"] == "trade"
    traded = [t for t in frame["data"] if t["v"]]
    assert len(traded) < len(frame["data"])  # volume 0: a word about the price alone
    assert [(t["p"], t["t"], t["s"]) for t in traded] == [
        (trade.price, trade.ts_ns // MS, "AAPL") for trade in expected
    ]


async def until_subscribed(emulator: Emulator, vendor: VendorName) -> None:
    """Not every vendor confirms: look at the emulator's own books."""
    feed: Feed = emulator.feed(vendor)
    async with asyncio.timeout(5):
        while not any(connection.subscribed for connection in feed.connections.values()):
            await asyncio.sleep(0.01)


async def test_finnhub_refuses_an_unknown_key_at_the_handshake() -> None:
    async with running() as (emulator, _, client):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with connected(client, emulator.feeds["finnhub"].format(key="nobody")):
                pass
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("key", "level", "shape"), [("tiingo-paid", 5, 16), ("tiingo-delayed", 6, 3), ("tiingo-free", 5, None)]
)
async def test_tiingos_shape_goes_by_the_level_that_the_plan_allows(
    key: str, level: int, shape: int | None
) -> None:
    async with (
        running() as (emulator, time, client),
        connected(client, emulator.feeds["tiingo"]) as socket,
    ):
        data = {"thresholdLevel": level, "tickers": ["aapl"]}
        await socket.say({"eventName": "subscribe", "authorization": key, "eventData": data})
        first = await socket.next()
        if shape is None:
            assert (first["messageType"], first["response"]["code"]) == ("E", 400)
            return
        assert first["messageType"] == "I"
        assert (await socket.next())["messageType"] == "H"
        time.advance(1800)
        messages = await socket.collect(8)
    assert {len(message["data"]) for message in messages} == {shape}
    assert {message["service"] for message in messages} == {"iex"}
    if shape == 16:
        quotes = [m["data"] for m in messages if m["data"][0] == "Q"]
        expected = [q for q in MARKET.quotes("AAPL", DAY, "iex") if q.ts_ns > NOW][: len(quotes)]
        assert [(q[2], q[4], q[5], q[7], q[8]) for q in quotes] == [
            (q.ts_ns, q.bid_size, q.bid, q.ask, q.ask_size) for q in expected
        ]


# troubles


async def subscribe(vendor: VendorName, socket: Socket) -> None:
    if vendor == "polygon":
        await polygon(socket, "T.AAPL")
    elif vendor == "alpaca":
        await alpaca(socket, trades=["AAPL"])
    elif vendor == "finnhub":
        await socket.say({"type": "subscribe", "symbol": "AAPL"})
    else:
        data = {"thresholdLevel": 5, "tickers": ["aapl"]}
        await socket.say({"eventName": "subscribe", "authorization": "tiingo-paid", "eventData": data})


def feed_url(emulator: Emulator, vendor: VendorName) -> str:
    return emulator.feeds[vendor].format(feed="sip", key=f"{vendor}-paid")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("kind", "closes"),
    [("drop", {1006}), ("policy_close", {1008}), ("slow_consumer", {1008}), ("max_connections", {1008})],
)
async def test_the_script_ends_a_connection(vendor: VendorName, kind: str, closes: set[int]) -> None:
    async with running() as (emulator, time, client):
        emulator.faults.add(vendor, "ws", kind, after=3)
        async with connected(client, feed_url(emulator, vendor)) as socket:
            await subscribe(vendor, socket)
            await until_subscribed(emulator, vendor)
            time.advance(1800)
            assert await socket.closed() in closes
        assert len(emulator.log.sent) == 3
        async with connected(client, feed_url(emulator, vendor)) as socket:
            await subscribe(vendor, socket)
            await until_subscribed(emulator, vendor)  # the next one is well


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_mute_socket_stays_open_and_says_no_more(vendor: VendorName) -> None:
    async with running() as (emulator, time, client):
        emulator.feed(vendor).heartbeat_s = 0.05
        emulator.faults.add(vendor, "ws", "mute", after=2)
        async with connected(client, feed_url(emulator, vendor)) as socket:
            await subscribe(vendor, socket)
            await until_subscribed(emulator, vendor)
            time.advance(1800)
            (connection,) = emulator.feed(vendor).connections.values()
            await until(lambda: connection.muted)
            time.advance(1800)
            await until(lambda: connection.cursor_ns >= time.now_ns())
            assert len(emulator.log.sent) == 2
            assert not socket.socket.closed


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_messages_can_be_mutated_for_negative_controls() -> None:
    def in_seconds(message: Any) -> Any:
        return message | {"t": message["t"] // 1000}

    async with running() as (emulator, time, client):
        emulator.faults.add("polygon", "ws", "mutate", change=in_seconds)
        async with connected(client, emulator.feeds["polygon"]) as socket:
            await polygon(socket, "T.AAPL")
            await until(lambda: all(c.struck for c in emulator.feed("polygon").connections.values()))
            time.advance(60)
            (message, *_) = await socket.collect(1)
    assert message["t"] < 2_000_000_000


async def test_a_disconnected_client_leaves_nothing_behind() -> None:
    async with running() as (emulator, _, client):
        async with connected(client, emulator.feeds["polygon"]) as socket:
            await polygon(socket, "T.AAPL")
        await until(lambda: not emulator.feed("polygon").connections)
        (asked,) = emulator.log.of("polygon", "ws")
    assert asked.key == "polygon-paid"
