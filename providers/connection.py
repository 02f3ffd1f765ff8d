"""A vendor's WebSocket: connected, logged in, subscribed, and asked every second whether it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import WSCloseCode, WSMsgType
from yarl import URL

from domain.clock import Clock
from providers.answers import kind_of, retry_after
from providers.dialogue import Dialogue, Frame, Item, Refused
from schemas.errors import Malformed, ProviderAway, ProviderError, RateLimited

MASK = "**********"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds and bytes."""

    connect_s: float = 5.0
    """Until the handshake is done."""
    login_s: float = 15.0
    """Until everything is subscribed."""
    ping_s: float = 1.0
    silence_s: float = 6.0
    """A connection on which nothing comes for so long, not even an answer to a ping, is gone."""
    close_s: float = 1.0
    max_message_bytes: int = 16 << 20
    """A minute of the whole market in one frame is a tenth of it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A ping was answered: what the vendor had sent when it was asked has come before this."""

    asked_ns: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From here on nothing is missing: every subscription stood before this moment."""

    at_ns: int


Event = Item | Answered | Subscribed


class Connection:
    """One that is open. Events come in the order in which the vendor sent them."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[bool], dialogue: Dialogue, clock: Clock, pace: Pace
    ) -> None:
        """Take a socket after its handshake."""
        self._socket = socket
        self._dialogue = dialogue
        self._clock = clock
        self._pace = pace
        self._asked: dict[bytes, int] = {}
        self._pings = 0
        self._subscribed = False
        self._refusal: ProviderError | None = None
        self._deadline = clock.monotonic() + pace.login_s

    async def receive(self) -> Sequence[Event]:
        """Return what comes next, after at most a few seconds.

        Raises:
            ProviderError: the connection has ended, of the kind that says why.
        """
        if self._refusal is not None:
            raise self._refusal
        if not self._subscribed and self._clock.monotonic() > self._deadline:
            raise self._away(f"no answer to {self._dialogue.missing or 'a ping'}")
        try:
            async with asyncio.timeout(self._pace.silence_s):
                message = await self._socket.receive()
        except TimeoutError:
            raise self._away(
                f"nothing for {self._pace.silence_s:g} s, not even an answer to a ping"
            ) from None
        kind = message.type
        if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
            return await self._heard(message.data)
        if kind is WSMsgType.PONG:
            return self._answered(bytes(message.data))
        if kind is WSMsgType.PING:
            with self._ending():
                await self._socket.pong(message.data)
            return ()
        raise self._ended(message.type, message.data, message.extra)

    async def subscribe_again(self, symbols: Sequence[str]) -> None:
        """Ask anew for symbols that have fallen silent.

        Raises:
            ProviderAway: the connection has ended.
        """
        await self._send(self._dialogue.again(symbols))

    async def open(self) -> None:
        """Say what is said first."""
        await self._send(self._dialogue.opening())
        if self._dialogue.live:
            await self._ask()

    async def ask_for_ever(self) -> None:
        """Send pings, none before everything is confirmed: the first answer says that it is in force."""
        while True:
            await asyncio.sleep(self._pace.ping_s)
            if self._socket.closed or not self._dialogue.live:
                continue
            try:
                await self._ask()
            except ProviderAway:
                return  # who receives is told

    async def _heard(self, frame: Frame) -> Sequence[Event]:
        dialogue = self._dialogue
        waited = not dialogue.live
        heard = dialogue.hear(frame, self._clock.now_ns())
        for n, item in enumerate(heard.items):
            if isinstance(item, Refused) and item.fatal:
                # what stands before it still counts
                self._refusal = self._clean(item.error)
                return heard.items[:n]
            if isinstance(item, Refused):
                self._clean(item.error)
        await self._send(heard.replies)
        if waited and dialogue.live:
            await self._ask()
        return heard.items

    async def _send(self, frames: Sequence[Frame]) -> None:
        with self._ending():
            for frame in frames:
                if isinstance(frame, bytes):
                    await self._socket.send_bytes(frame)
                else:
                    await self._socket.send_str(frame)

    async def _ask(self) -> None:
        self._pings += 1
        payload = self._pings.to_bytes(8, "big")
        self._asked[payload] = self._clock.now_ns()
        with self._ending():
            await self._socket.ping(payload)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Say of a connection that ends while we send that it has ended."""
        try:
            yield
        except (ConnectionError, aiohttp.ClientError) as exc:
            raise self._away(type(exc).__name__) from None

    def _answered(self, payload: bytes) -> Sequence[Event]:
        asked_ns = self._asked.pop(payload, None)
        if asked_ns is None:
            return ()
        # an answer answers what was asked before it too
        for older in [p for p in self._asked if p < payload]:
            del self._asked[older]
        if not self._subscribed:
            self._subscribed = True
            return (Subscribed(self._clock.now_ns()),)
        return (Answered(asked_ns),)

    @property
    def subscribed(self) -> bool:
        """Whether `Subscribed` has come."""
        return self._subscribed

    def _ended(self, kind: WSMsgType, data: object, said: object) -> ProviderError:
        provider = self._dialogue.provider_name
        if isinstance(data, aiohttp.WebSocketError):
            if data.code == WSCloseCode.MESSAGE_TOO_BIG:
                most = self._pace.max_message_bytes
                return Malformed(f"message: more than {most} bytes", provider=provider, status=int(data.code))
            return self._away("broken frame", int(data.code))
        reason = f": {str(said)[:200]}" if kind is WSMsgType.CLOSE and said else ""
        return self._clean(self._away(f"closed{reason}", self._socket.close_code))

    def _clean(self, error: ProviderError) -> ProviderError:
        """Mask the key, should the vendor have repeated it."""
        for secret in self._dialogue.secrets():
            if value := secret.get_secret_value():
                error.args = tuple(str(arg).replace(value, MASK) for arg in error.args)
        return error

    def _away(self, why: str, status: int | None = None) -> ProviderAway:
        return ProviderAway(why, provider=self._dialogue.provider_name, status=status)


@asynccontextmanager
async def connected(dialogue: Dialogue, clock: Clock, pace: Pace | None = None) -> AsyncIterator[Connection]:
    """Yield a connection that has been opened; `Subscribed` is among the first events to come.

    Nothing of what goes wrong names the URL: the key may be in it.

    Raises:
        ProviderError: no connection, of the kind that says why.
    """
    pace = pace or Pace()
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=pace.connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_without_redirects,),
    )
    async with session:
        socket = await _handshake(session, dialogue, clock, pace)
        connection = Connection(socket, dialogue, clock, pace)
        try:
            await connection.open()
            asking = asyncio.create_task(connection.ask_for_ever())
            try:
                yield connection
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        finally:
            await socket.close()


async def _handshake(
    session: aiohttp.ClientSession, dialogue: Dialogue, clock: Clock, pace: Pace
) -> aiohttp.ClientWebSocketResponse[bool]:
    provider = dialogue.provider_name
    try:
        async with asyncio.timeout(pace.connect_s):
            return await session.ws_connect(
                URL(dialogue.url().get_secret_value()),
                headers=dialogue.headers,
                timeout=aiohttp.ClientWSTimeout(ws_close=pace.close_s),
                autoping=False,
                max_msg_size=pace.max_message_bytes,
            )
    except aiohttp.WSServerHandshakeError as exc:
        kind, wait = kind_of(exc.status), dict[str, Any]()
        if issubclass(kind, RateLimited):
            seconds = retry_after(exc.headers or {}, clock.now_ns())
            wait["retry_after_s"] = 1.0 if seconds is None else seconds
        raise kind("handshake refused", provider=provider, status=exc.status, **wait) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise ProviderAway(f"no connection: {type(exc).__name__}", provider=provider) from None


async def _without_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Let aiohttp see no redirect: it would follow with our key."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise aiohttp.WSServerHandshakeError(
            response.request_info, (), message="redirect", status=response.status, headers=response.headers
        )
    return response
