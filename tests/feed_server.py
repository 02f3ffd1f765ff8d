"""A vendor's feed in polygon's words whose troubles a test commands, over a market that goes on without it.

The market is every tick of every symbol that was ever subscribed, whether or not anybody was listening.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from domain.clock import SystemClock
from tests.server_thread import in_thread

KEY = "a-key-that-nobody-may-see"
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """One tick of the market."""

    symbol: str
    kind: str
    ts_ns: int
    ident: int


@dataclass(eq=False, slots=True)
class Client:
    """One connection."""

    socket: web.WebSocketResponse
    request: web.Request
    authenticated: bool = False
    mute: bool = False
    channels: dict[str, None] = field(default_factory=dict)
    heard: list[Any] = field(default_factory=list)
    outbox: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    waiting: int = 0
    """Bytes that it has not taken."""

    async def say(self, *messages: dict[str, Any]) -> None:
        await self.socket.send_str(msgspec.json.encode(list(messages)).decode())

    async def write_all(self) -> None:
        with suppress(ConnectionError):
            while True:
                data = await self.outbox.get()
                await self.socket.send_str(data)
                self.waiting -= len(data)

    def drop(self) -> None:
        """Reset the connection."""
        transport = self.request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class FeedServer:
    """Sends ticks of the subscribed symbols, so many a second, to whoever has logged in."""

    def __init__(self, rate: float, *, step_s: float = 0.05, delay_s: float = 0.0, padding: int = 0) -> None:
        self.rate = rate
        """Ticks a second and channel."""
        self.mute_symbols: set[str] = set()
        self.only_one = True
        self.clients: list[Client] = []
        self.connects = 0
        self.logins: list[float] = []
        """Monotonic seconds."""
        self.made: list[Made] = []
        self.listed: dict[str, None] = {}
        """Channels whose market goes on."""
        self.partings: list[str] = []
        self.url = ""
        self.most_waiting = 4 << 20
        self._clock = SystemClock()
        self._idents = itertools.count(1)
        self._step_s = step_s
        self._delay_ns = int(delay_s * 1e9)
        self._padding = "x" * padding

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 22)
        await socket.prepare(request)
        client = Client(socket, request)
        self.clients.append(client)
        self.connects += 1
        writing = asyncio.create_task(client.write_all())
        try:
            await client.say(_status("connected", "Connected Successfully"))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self.heard(client, msgspec.json.decode(message.data))
        except ConnectionError:
            pass
        finally:
            self.clients.remove(client)
            writing.cancel()
        return socket

    async def heard(self, client: Client, message: dict[str, Any]) -> None:
        client.heard.append(message)
        params = message["params"]
        if message["action"] == "auth":
            client.authenticated = params == KEY
            if client.authenticated:
                self.logins.append(time.monotonic())
                await client.say(_status("auth_success", "authenticated"))
            else:
                await client.say(_status("auth_failed", "authentication failed"))
                await client.socket.close(code=WSCloseCode.POLICY_VIOLATION)
        elif message["action"] == "subscribe":
            for name in params.split(","):
                client.channels[name] = self.listed[name] = None
                await client.say(_status("success", f"subscribed to: {name}"))
            if self.only_one and sum(c.authenticated for c in self.clients) > 1:
                await self.part(client, "max_connections")
        else:
            for name in params.split(","):
                client.channels.pop(name, None)

    async def part(self, client: Client, why: str) -> None:
        """Say why, and close."""
        self.partings.append(why)
        client.authenticated = False
        await client.say(_status(why, why.replace("_", " ")))
        await client.socket.close(code=WSCloseCode.POLICY_VIOLATION)

    async def play(self) -> None:
        """Let the market go on for ever; a client that does not take its ticks is parted with as slow."""
        began, owed = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(self._step_s)
            now = time.monotonic()
            owed += (now - began) * self.rate
            began = now
            market = self._market(int(owed))
            owed -= int(owed)
            for client in list(self.clients):
                if client.authenticated:
                    self._send(client, market)

    def _market(self, ticks: int) -> dict[str, list[dict[str, Any]]]:
        now_ns = self._clock.now_ns() - self._delay_ns
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in self.listed}
        for n in range(ticks):
            for name in self.listed:
                kind, _, symbol = name.partition(".")
                ident, ts_ms = next(self._idents), (now_ns - (ticks - n) * MS) // MS
                found[name].append(self._tick(kind, symbol, ts_ms, ident))
                self.made.append(Made(symbol, kind, ts_ms * MS, ident))
        return found

    def _send(self, client: Client, market: dict[str, list[dict[str, Any]]]) -> None:
        if client.waiting > self.most_waiting:
            # it does not take a farewell either
            self.partings.append("slow_consumer")
            client.authenticated = False
            client.drop()
            return
        messages = [
            tick
            for name in client.channels
            if name.partition(".")[2] not in self.mute_symbols
            for tick in market[name]
        ]
        if not messages or client.mute:
            return
        data = msgspec.json.encode(messages).decode()
        client.waiting += len(data)
        client.outbox.put_nowait(data)

    def _tick(self, kind: str, symbol: str, ts_ms: int, ident: int) -> dict[str, Any]:
        if kind == "T":
            tick = {"p": 100.0 + ident % 100 / 100, "s": 1 + ident % 300, "x": 4, "i": str(ident), "z": 3}
        else:
            tick = {"bp": 100.0, "bs": 100, "bx": 11, "ap": 100.01, "as": 200, "ax": 12, "c": 0, "z": 3}
        return {"ev": kind, "sym": symbol, "t": ts_ms, "q": ident, **tick, "pad": self._padding}


def _status(status: str, message: str) -> dict[str, str]:
    return {"ev": "status", "status": status, "message": message}


@asynccontextmanager
async def feed_server(rate: float = 20.0, **how: Any) -> AsyncIterator[FeedServer]:
    """Run a server on loopback for as long as the context."""
    server = FeedServer(rate, **how)
    app = web.Application()
    app.router.add_get("/stocks", server.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    playing = asyncio.create_task(server.play())
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.url = f"ws://{host}:{port}/stocks"
        yield server
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        for client in list(server.clients):
            client.drop()
        await runner.cleanup()


@contextmanager
def feed_server_thread(rate: float = 20.0, **how: Any) -> Iterator[FeedServer]:
    """Run a server in a thread of its own, for tests that wait without a loop."""
    with in_thread(feed_server(rate, **how)) as (server, _):
        yield server
