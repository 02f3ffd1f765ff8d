"""Probes of a feed process: is it alive, does it lead and receive, and what has it done."""

from __future__ import annotations

from dataclasses import asdict
from types import TracebackType
from typing import Self

from aiohttp import web

from domain.clock import Clock
from streams.feed import Feed

SCHEMA_VERSION = 1
#: alive and well: one leads, the others wait for their turn
READY = ("standby", "active")


class FeedSite:
    """Serves on loopback while it is entered; nothing without a port."""

    def __init__(self, feed: Feed, clock: Clock, port: int | None) -> None:
        """Take the feed to tell about; nothing listens yet."""
        self._feed = feed
        self._clock = clock
        self._port = port
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        if self._port is None:
            return self
        app = web.Application()
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/status", self._status),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        state = self._feed.counts.state
        return web.Response(text=f"{state}\n", status=200 if state in READY else 503)

    async def _status(self, _: web.Request) -> web.Response:
        counts = asdict(self._feed.counts)
        counts["state_s"] = round(self._clock.monotonic() - counts.pop("since"), 3)
        told = {
            "buffered": self._feed.buffered,
            "unread_s": round(self._feed.unread_s, 3),
            "promised_ns": self._feed.promised_ns,
        }
        return web.json_response({"schema_version": SCHEMA_VERSION, **counts, **told})
