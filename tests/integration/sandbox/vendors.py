"""What the tests of the emulator share: one on a market that stands still, and clients without any wit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import VendorName
from sandbox.vendors.server import Emulator

WAIT_S = 5.0
MARKET = Market(seed=7)
NS = 1_000_000_000


def at(text: str) -> int:
    """An instant with its zone, as nanoseconds."""
    return int(datetime.fromisoformat(text).timestamp()) * NS


#: a Friday, ten minutes after the open
NOW = at("2025-11-14T09:40:00-05:00")


@asynccontextmanager
async def running(now_ns: int = NOW, **options: Any) -> AsyncIterator[tuple[Emulator, SetTime, Client]]:
    time = SetTime(now_ns)
    async with (
        Emulator(MARKET, time, **options) as emulator,
        aiohttp.ClientSession(auto_decompress=True) as session,
    ):
        yield emulator, time, Client(emulator, session)


class Client:
    """Asks as the vendors document it; decodes and nothing else."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session

    def headers(self, vendor: VendorName, key: str) -> dict[str, str]:
        if vendor == "alpaca":
            return {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": f"{key}-secret"}
        scheme = {"polygon": "Bearer", "tiingo": "Token"}.get(vendor)
        return {"Authorization": f"{scheme} {key}"} if scheme else {"X-Finnhub-Token": key}

    async def ask(
        self, vendor: VendorName, path: str, key: str | None = None, **query: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        url = self.emulator.urls[vendor] + path
        headers = self.headers(vendor, key or self.emulator.keys[vendor])
        async with self.session.get(url, params=query, headers=headers, allow_redirects=False) as response:
            body = await response.read()
            json = "json" in response.headers["Content-Type"]
            return response.status, msgspec.json.decode(body) if json else body.decode(), response

    async def get(self, vendor: VendorName, path: str, **query: Any) -> Any:
        status, body, _ = await self.ask(vendor, path, **query)
        assert status == 200, body
        return body


class Socket:
    """One connection of a feed; `got` is what has come and nobody has collected."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, decode: Callable[[Any], Any]) -> None:
        self.socket = socket
        self._decode = decode
        self.got: list[Any] = []

    async def say(self, message: Any) -> None:
        await self.socket.send_str(msgspec.json.encode(message).decode())

    async def next(self) -> Any:
        """The next frame; raises when the connection is over."""
        message = await self.socket.receive(timeout=WAIT_S)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return self._decode(message.data)

    async def collect(self, count: int, of: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """Messages that pass, until there are so many; arrays are taken apart."""
        found: list[Any] = []
        async with asyncio.timeout(WAIT_S):
            while len(found) < count:
                if not self.got:
                    frame = await self.next()
                    self.got += frame if isinstance(frame, list) else [frame]
                message = self.got.pop(0)
                if of(message):
                    found.append(message)
        return found

    async def closed(self) -> int | None:
        """Read to the end and return the close code."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.socket.receive()
                if message.type in (
                    aiohttp.WSMsgType.CLOSE,
                    aiohttp.WSMsgType.CLOSED,
                    aiohttp.WSMsgType.CLOSING,
                    aiohttp.WSMsgType.ERROR,
                ):
                    return self.socket.close_code
                self.got.append(self._decode(message.data))


@asynccontextmanager
async def connected(
    client: Client, url: str, decode: Callable[[Any], Any] = msgspec.json.decode, **options: Any
) -> AsyncIterator[Socket]:
    async with client.session.ws_connect(url, **options) as socket:
        yield Socket(socket, decode)
