"""What the four feeds have in common: connections, a pump that moves with the market's time, and trouble."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.vendors.clock import SECOND_NS
from sandbox.vendors.faults import SOCKET, Fault
from sandbox.vendors.log import Sent
from sandbox.vendors.plans import Account, VendorName
from sandbox.vendors.tape import Event, Tape
from sandbox.vendors.vendor import World

#: seconds of the wall clock between looks at the market's time
PACE_S = 0.02
#: how long a client may take to say who it is
AUTH_S = 10.0
#: messages that may wait for a client before it is called slow
BACKLOG = 20_000
#: of one frame
FRAME_MESSAGES = 500


@dataclass(eq=False, slots=True)
class Connection:
    """One client."""

    ident: int
    socket: web.WebSocketResponse
    request: web.Request
    fault: Fault | None
    binary: bool = False
    account: Account | None = None
    subscribed: dict[str, dict[str, None]] = field(default_factory=dict)
    """Channel -> symbols (or ``*``), in the order in which they were asked for."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What a vendor keeps besides."""
    cursor_ns: int = 0
    """Everything up to here has been sent."""
    sent: int = 0
    muted: bool = False
    struck: bool = False
    change: Callable[[Any], Any] | None = None
    outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    waiting: int = 0

    def wants(self, channel: str, symbol: str) -> bool:
        """Return whether it has subscribed."""
        symbols = self.subscribed.get(channel, {})
        return symbol in symbols or "*" in symbols

    def subscribe(self, channel: str, symbols: Iterable[str]) -> None:
        """Add symbols to a channel."""
        self.subscribed.setdefault(channel, {}).update(dict.fromkeys(symbols))

    def unsubscribe(self, channel: str, symbols: Iterable[str]) -> None:
        """Take symbols off a channel."""
        for symbol in symbols:
            self.subscribed.get(channel, {}).pop(symbol, None)


class _Close:
    def __init__(self, code: int, reason: bytes = b"") -> None:
        self.code = code
        self.reason = reason


class Feed(ABC):
    """One vendor's feed."""

    name: ClassVar[VendorName]
    auth_s = AUTH_S
    #: seconds of the wall clock between heartbeats; 0 for none
    heartbeat_s = 0.0

    def __init__(self, world: World) -> None:
        self.world = world
        self.tape = Tape(world.market, world.views)
        self.connections: dict[int, Connection] = {}
        self._numbers = itertools.count(1)

    # -- what differs by vendor

    @abstractmethod
    async def greet(self, connection: Connection) -> None:
        """Say what is said first."""

    @abstractmethod
    async def heard(self, connection: Connection, message: Any) -> None:
        """Act on a message of the client; ``message`` is decoded, None if it cannot be."""

    @abstractmethod
    def events(self, connection: Connection, after: int, until: int) -> Iterable[Event]:
        """Yield what is to be sent, in any order."""

    @abstractmethod
    def write(self, connection: Connection, event: Event) -> Any | None:
        """Return the message of an event, None if this connection does not get it."""

    def frames(self, messages: Sequence[Any]) -> Iterable[Any]:
        """Return what is sent of messages: arrays of them, unless a vendor does otherwise."""
        for start in range(0, len(messages), FRAME_MESSAGES):
            yield list(messages[start : start + FRAME_MESSAGES])

    def encode(self, connection: Connection, frame: Any) -> str | bytes:  # noqa: ARG002 - others need it
        """Return a frame as it goes out: text, or bytes for a binary one."""
        return msgspec.json.encode(frame).decode()

    def decode(self, connection: Connection, data: str | bytes) -> Any:  # noqa: ARG002 - others need it
        """Return a client's message; raises `msgspec.DecodeError`."""
        return msgspec.json.decode(data)

    def parting(self, kind: str) -> Any | None:
        """Return what is said before a connection is closed for ``kind``, None for nothing."""
        del kind
        return None

    def heartbeat(self) -> Any | None:
        """Return what shows that the connection lives."""
        return None

    def timed_out(self) -> Any | None:
        """Return what is said to a client that does not say who it is."""
        return None

    # -- serving

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until it goes."""
        fault = self.world.faults.take(self.name, SOCKET)
        socket = web.WebSocketResponse(max_msg_size=1 << 22)
        await socket.prepare(request)
        connection = Connection(next(self._numbers), socket, request, fault)
        connection.binary = "msgpack" in request.headers.get("Content-Type", "")
        self.connections[connection.ident] = connection
        writer = asyncio.create_task(self._write_all(connection))
        try:
            await self.greet(connection)
            await self._listen(connection)
        finally:
            self.connections.pop(connection.ident, None)
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            key = connection.account.key if connection.account else ""
            self.world.log.asked(self.name, key, SOCKET, request.path, 101, fault.kind if fault else "")
        return socket

    async def _listen(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.auth_s
        while not connection.socket.closed:
            left = None if connection.account else max(0.01, deadline - loop.time())
            try:
                message = await connection.socket.receive(timeout=left)
            except TimeoutError:
                if (said := self.timed_out()) is not None:
                    self.say(connection, said)
                self.close(connection, WSCloseCode.POLICY_VIOLATION)
                deadline = loop.time() + 1.0
                continue
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            try:
                decoded = self.decode(connection, message.data)
            except msgspec.DecodeError:
                decoded = None
            await self.heard(connection, decoded)

    def admit(self, connection: Connection, account: Account) -> bool:
        """Give a connection to a key; returns whether the key may have one more."""
        others = sum(1 for c in self.connections.values() if c.account is account and c is not connection)
        connection.account = account
        connection.cursor_ns = self.world.time.now_ns() - account.delay_s * SECOND_NS
        return others < account.connections

    def say(self, connection: Connection, frame: Any) -> None:
        """Send a frame of control."""
        if connection.change is not None:
            frame = connection.change(frame)
        connection.outbox.put_nowait(self.encode(connection, frame))

    def close(self, connection: Connection, code: int, reason: bytes = b"") -> None:
        """Close after what is waiting has gone."""
        connection.outbox.put_nowait(_Close(code, reason))

    async def _write_all(self, connection: Connection) -> None:
        socket = connection.socket
        while True:
            item = await connection.outbox.get()
            try:
                if isinstance(item, _Close):
                    await socket.close(code=item.code, message=item.reason)
                    return
                if isinstance(item, bytes):
                    await socket.send_bytes(item)
                else:
                    await socket.send_str(item)
            except ConnectionError:
                return
            connection.waiting = connection.outbox.qsize()

    # -- the pump

    async def running(self, app: web.Application) -> AsyncIterator[None]:
        """Move with the market's time while the server runs."""
        del app
        pump = asyncio.create_task(self._pump())
        beats = asyncio.create_task(self._beat())
        yield
        for task in (pump, beats):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for connection in list(self.connections.values()):
            with suppress(ConnectionError):
                await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    async def _pump(self) -> None:
        while True:
            await asyncio.sleep(PACE_S)
            now = self.world.time.now_ns()
            for connection in list(self.connections.values()):
                if connection.account is not None:
                    self._advance(connection, now - connection.account.delay_s * SECOND_NS)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_s or AUTH_S)
            frame = self.heartbeat() if self.heartbeat_s else None
            for connection in list(self.connections.values()):
                if frame is not None and connection.account is not None:
                    self.say(connection, frame)

    def _advance(self, connection: Connection, until: int) -> None:
        after = connection.cursor_ns
        if until > after:
            connection.cursor_ns = until
            if connection.subscribed and not connection.muted:
                events = sorted(self.events(connection, after, until), key=lambda event: event.at_ns)
                self._send(connection, events)
        fault = connection.fault
        subscribed = any(connection.subscribed.values())
        if fault and not connection.struck and subscribed and connection.sent >= fault.after:
            self.strike(connection, fault)

    def _send(self, connection: Connection, events: list[Event]) -> None:
        fault, log = connection.fault, self.world.log
        if fault and not connection.struck:
            # stop exactly where the script says
            events = events[: max(0, fault.after - connection.sent)]
        messages = []
        for event in events:
            message = self.write(connection, event)
            if message is None:
                continue
            connection.sent += 1
            if connection.change is not None:
                message = connection.change(msgspec.to_builtins(message))
            messages.append(message)
            if log.keep_sent:
                log.sent.append(
                    Sent(
                        self.world.clock.monotonic(),
                        self.name,
                        connection.ident,
                        event.kind,
                        event.symbol,
                        event.ts_ns,
                        event.ident,
                    )
                )
        for frame in self.frames(messages):
            connection.outbox.put_nowait(self.encode(connection, frame))
        if connection.outbox.qsize() > BACKLOG:
            self._part(connection, "slow_consumer")

    def strike(self, connection: Connection, fault: Fault) -> None:
        """Let a fault happen now."""
        connection.struck = True
        kind = fault.kind
        if kind == "drop":
            transport = connection.request.transport
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        elif kind == "mute":
            connection.muted = True
        elif kind == "mutate":
            connection.change = fault.change
        elif kind == "raw":
            connection.outbox.put_nowait(fault.text)
        else:
            self._part(connection, kind)

    def disturb(self, kind: str, **how: Any) -> None:
        """Let a fault happen to every connection there is."""
        for connection in list(self.connections.values()):
            self.strike(connection, Fault(self.name, SOCKET, kind, 1, 1, **how))

    def _part(self, connection: Connection, kind: str) -> None:
        connection.muted = True
        if (said := self.parting(kind)) is not None:
            self.say(connection, said)
        self.close(connection, WSCloseCode.POLICY_VIOLATION)

    def symbols(self, connection: Connection, channel: str) -> Iterable[str]:
        """Return the listed symbols that a channel of a connection has."""
        named = connection.subscribed.get(channel, {})
        listed = self.world.market.instruments
        return listed if "*" in named else [symbol for symbol in named if symbol in listed]
