"""A vendor on loopback whose answers a test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from typing_extensions import override

from domain.clock import Clock
from providers.gate import Gate


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(slots=True)
class Said:
    """One answer."""

    body: Any
    """Bytes as they are, anything else as JSON."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Vendor:
    """Answers every request by ``answer`` and keeps it."""

    answer: Callable[[Asked], Said]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@asynccontextmanager
async def vendor(answer: Callable[[Asked], Said]) -> AsyncIterator[Vendor]:
    """Run a vendor for as long as the context."""
    one = Vendor(answer)

    async def handle(request: web.Request) -> web.Response:
        asked = Asked(request.raw_path.partition("?")[0], dict(request.query), dict(request.headers))
        one.asked.append(asked)
        said = one.answer(asked)
        body = said.body if isinstance(said.body, bytes) else msgspec.json.encode(said.body)
        return web.Response(body=body, status=said.status, headers=said.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        one.url = f"http://{host}:{port}"
        yield one
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class StillClock(Clock):
    """Time that a test moves."""

    wall_ns: int = 0
    seconds: float = 100.0

    @override
    def now_ns(self) -> int:
        return self.wall_ns

    @override
    def monotonic(self) -> float:
        return self.seconds


@dataclass(slots=True)
class CountingGate(Gate):
    """Lets everybody pass and keeps what it was told."""

    passed: int = 0
    blocked_until: list[float] = field(default_factory=list)

    @override
    async def pass_(self, n: int = 1) -> None:
        self.passed += n

    @override
    def block_until(self, monotonic: float) -> None:
        self.blocked_until.append(monotonic)
