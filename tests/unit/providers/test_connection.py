"""The connection against a server on loopback that does what a test says: login, pings, ends, no leaks."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType, web

from domain.clock import SystemClock
from providers.connection import Answered, Connection, Event, Pace, Subscribed, connected
from providers.dialogue import Refused
from providers.finnhub.config import FinnhubConfig
from providers.finnhub.stream import FinnhubDialogue
from providers.polygon.config import PolygonConfig
from providers.polygon.stream import PolygonDialogue
from schemas.errors import (
    AuthFailed,
    EntitlementMissing,
    Malformed,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.trade import Trade

KEY = "a-key-that-nobody-may-see"
QUICK = Pace(connect_s=1.0, login_s=1.0, ping_s=0.05, silence_s=0.5, close_s=0.2, max_message_bytes=10_000)
TRADE = '{"ev":"T","sym":"AAPL","p":1.5,"s":1,"t":1764000000000}'

Script = Callable[[web.WebSocketResponse, "Server"], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Server:
    """Runs a script for each client."""

    script: Script
    url: str = ""
    heard: list[Any] = field(default_factory=list)
    pings: int = 0
    pong: bool = True
    before_pong: str = ""
    """Sent before each answer to a ping; its price is the number of the ping."""
    open: int = 0
    requests: list[str] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.open += 1
        try:
            script = asyncio.create_task(self.script(socket, self))
            async for message in socket:
                if message.type is WSMsgType.PING:
                    self.pings += 1
                    if self.before_pong:
                        await socket.send_str(self.before_pong.replace("1.5", str(self.pings)))
                    if self.pong:
                        await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self.heard.append(msgspec.json.decode(message.data))
            script.cancel()
            await asyncio.gather(script, return_exceptions=True)
        finally:
            self.open -= 1
        return socket

    async def wait_heard(self, count: int) -> None:
        while len(self.heard) < count:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(script: Script, handler: Any = None) -> AsyncIterator[Server]:
    server = Server(script)
    app = web.Application()
    app.router.add_get("/feed", handler or server.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"ws://{host}:{port}/feed"
    yield server
    await runner.cleanup()


def polygon(server: Server) -> PolygonDialogue:
    return PolygonDialogue(PolygonConfig(key=KEY, ws_url=server.url), ["AAPL"], ["trades"])


def status(name: str, message: str = "") -> str:
    return f'[{{"ev":"status","status":"{name}","message":"{message}"}}]'


async def log_in(socket: web.WebSocketResponse, server: Server) -> None:
    await socket.send_str(status("connected"))
    await server.wait_heard(1)
    await socket.send_str(status("auth_success"))
    await server.wait_heard(2)
    await socket.send_str(status("success", "subscribed to: T.AAPL"))


async def until(connection: Connection, wanted: Callable[[Event], bool]) -> list[Event]:
    """Return what came up to and with the event that is wanted."""
    got: list[Event] = []
    async with asyncio.timeout(5):
        while not any(map(wanted, got)):
            got += await connection.receive()
    return got


async def failure(server: Server, pace: Pace = QUICK) -> ProviderError:
    async def listen() -> None:
        async with connected(polygon(server), SystemClock(), pace) as connection, asyncio.timeout(5):
            while True:
                await connection.receive()

    with pytest.raises(ProviderError) as caught:
        await listen()
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.raw!r}"
    return caught.value


async def test_login_subscription_and_data() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        await socket.send_str(f"[{TRADE}]")

    async with serving(script) as server, connected(polygon(server), SystemClock(), QUICK) as connection:
        before = SystemClock().now_ns()
        got = await until(connection, lambda e: isinstance(e, Answered))
        assert server.heard == [
            {"action": "auth", "params": KEY},
            {"action": "subscribe", "params": "T.AAPL"},
        ]
        kinds = [type(event) for event in got]
        assert set(kinds) == {Subscribed, Trade, Answered}
        (subscribed,) = (event for event in got if isinstance(event, Subscribed))
        assert before < subscribed.at_ns < SystemClock().now_ns()


async def test_what_the_vendor_had_sent_when_it_was_asked_comes_before_its_answer() -> None:
    async with serving(log_in) as server:
        server.before_pong = f"[{TRADE}]"
        async with connected(polygon(server), SystemClock(), QUICK) as connection:
            asked, trades = 0, 0
            for _ in range(5):
                got = await until(connection, lambda e: isinstance(e, Answered | Subscribed))
                trades += sum(isinstance(e, Trade) for e in got)
                assert isinstance(got[-2], Trade)
                if isinstance(got[-1], Answered):
                    assert asked < got[-1].asked_ns < SystemClock().now_ns()
                    asked = got[-1].asked_ns
            assert trades == 5


async def test_subscribed_is_told_only_after_every_confirmation_and_an_answered_ping() -> None:
    gate = asyncio.Event()

    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        server.pong = False
        await log_in(socket, server)
        await socket.send_str(f"[{TRADE}]")
        await gate.wait()
        server.pong = True

    async with serving(script) as server, connected(polygon(server), SystemClock(), QUICK) as connection:
        early = await until(connection, lambda e: isinstance(e, Trade))
        assert [type(e) for e in early] == [Trade]
        assert not connection.subscribed
        gate.set()
        await until(connection, lambda e: isinstance(e, Subscribed))
        assert connection.subscribed


async def test_a_vendor_without_confirmations_is_subscribed_when_it_answers() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await server.wait_heard(2)
        await socket.send_str('{"type":"error","msg":"Invalid symbol"}')
        await socket.send_str('{"type":"trade","data":[{"s":"AAPL","p":1.5,"t":1764000000000,"v":1}]}')

    async with serving(script) as server:
        talk = FinnhubDialogue(FinnhubConfig(key=KEY, ws_url=server.url), ["AAPL", "NOPE"])
        async with connected(talk, SystemClock(), QUICK) as connection:
            got = await until(connection, lambda e: isinstance(e, Trade))
            got += await until(connection, lambda e: isinstance(e, Answered))
        assert server.requests == [f"/feed?token={KEY}"]
        assert sum(isinstance(e, Refused) for e in got) == 1
        assert sum(isinstance(e, Subscribed) for e in got) == 1


async def test_no_answer_to_pings_ends_it() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        while server.pings < 3:
            await asyncio.sleep(0.01)
        server.pong = False

    async with serving(script) as server:
        error = await failure(server)
    assert type(error) is ProviderAway
    assert "not even an answer to a ping" in str(error)


@pytest.mark.parametrize("said", [[], [status("connected")], [status("connected"), status("auth_success")]])
async def test_a_login_that_leads_nowhere_ends_it(said: Sequence[str]) -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        for n, frame in enumerate(said):
            await server.wait_heard(n)
            await socket.send_str(frame)
        while True:  # heartbeats do not make it better
            await asyncio.sleep(0.1)
            await socket.send_str("[]")

    async with serving(script) as server:
        error = await failure(server)
    assert type(error) is ProviderAway
    missing = "1 subscriptions" if len(said) == 2 else "login"
    assert f"no answer to {missing}" in str(error)


async def test_a_refused_login_says_so_and_masks_the_key() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await socket.send_str(status("connected"))
        await server.wait_heard(1)
        await socket.send_str(status("auth_failed", f"no such key: {KEY}"))
        await socket.close(code=1008)

    async with serving(script) as server:
        error = await failure(server)
    assert type(error) is AuthFailed
    assert "no such key: **********" in str(error)


async def test_what_stands_before_a_parting_still_counts() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        await socket.send_str(f"[{TRADE},{status('max_connections')[1:-1]},{TRADE}]")

    async with serving(script) as server, connected(polygon(server), SystemClock(), QUICK) as connection:
        got = await until(connection, lambda e: isinstance(e, Trade))
        assert sum(isinstance(e, Trade) for e in got) == 1
        with pytest.raises(RateLimited) as caught:
            await connection.receive()
        assert caught.value.retry_after_s == 1.0


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1013, 4000])
async def test_a_close_is_told_with_code_and_reason(code: int) -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        await socket.close(code=code, message=f"because of {KEY}".encode())

    async with serving(script) as server:
        error = await failure(server)
    assert type(error) is ProviderAway
    assert error.status == code
    assert "because of **********" in str(error)


async def test_a_reset_is_told() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        assert socket._req is not None
        assert isinstance(socket._req.transport, asyncio.Transport)
        socket._req.transport.abort()

    async with serving(script) as server:
        error = await failure(server)
    assert type(error) is ProviderAway
    assert error.status == 1006


async def test_a_message_that_is_too_large_is_malformed() -> None:
    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        await socket.send_str("x" * 20_000)

    async with serving(script) as server:
        error = await failure(server)
    assert type(error) is Malformed
    assert "more than 10000 bytes" in str(error)


@pytest.mark.parametrize(
    ("code", "headers", "kind"),
    [
        (401, {}, AuthFailed),
        (403, {}, EntitlementMissing),
        (429, {"Retry-After": "7"}, RateLimited),
        (503, {}, ProviderAway),
        (200, {}, ProviderAway),
    ],
)
async def test_a_refused_handshake(code: int, headers: dict[str, str], kind: type[ProviderError]) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=code, headers=headers)

    async with serving(_nothing, handler) as server:
        error = await failure(server)
    assert type(error) is kind
    assert error.status == code
    if isinstance(error, RateLimited):
        assert error.retry_after_s == 7.0


async def _nothing(socket: web.WebSocketResponse, server: Server) -> None:
    pass


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        raise web.HTTPTemporaryRedirect(f"/other?{request.query_string}")

    async with serving(_nothing, elsewhere) as server:
        error = await failure(server)
    assert type(error) is ProviderAway
    assert error.status == 307
    assert len(asked) == 1


async def test_nobody_there() -> None:
    async with serving(_nothing) as server:
        pass
    error = await failure(server)
    assert type(error) is ProviderAway
    assert error.status is None


async def test_a_handshake_that_is_not_answered_ends_in_time() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(_nothing, handler) as server:
        begun = asyncio.get_running_loop().time()
        error = await failure(server, Pace(connect_s=0.3))
        assert asyncio.get_running_loop().time() - begun < 2
    assert type(error) is ProviderAway


async def test_symbols_are_asked_for_again() -> None:
    async with serving(log_in) as server, connected(polygon(server), SystemClock(), QUICK) as connection:
        await until(connection, lambda e: isinstance(e, Subscribed))
        await connection.subscribe_again(["AAPL"])
        async with asyncio.timeout(5):
            await server.wait_heard(4)
        assert [message["action"] for message in server.heard[2:]] == ["unsubscribe", "subscribe"]


async def test_the_vendors_own_pings_are_answered() -> None:
    answered = asyncio.Event()

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.ping(b"are you there")
        message = await socket.receive()
        if message.type is WSMsgType.PONG and message.data == b"are you there":
            answered.set()
        await socket.close()
        return socket

    async with serving(_nothing, handler) as server:
        await failure(server)
    assert answered.is_set()


async def test_nothing_is_left_behind_and_no_log_has_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def script(socket: web.WebSocketResponse, server: Server) -> None:
        await log_in(socket, server)
        await socket.close()

    async with serving(script) as server:
        tasks = asyncio.all_tasks()
        for _ in range(3):
            server.heard.clear()
            await failure(server)
        async with asyncio.timeout(5):
            while server.open:
                await asyncio.sleep(0.01)
        gc.collect()
        leaked = [s for s in gc.get_objects() if isinstance(s, aiohttp.ClientSession) and not s.closed]
        assert leaked == []
        assert {
            t for t in asyncio.all_tasks() if t not in tasks and "connection" in repr(t.get_coro())
        } == set()
    assert KEY not in caplog.text
