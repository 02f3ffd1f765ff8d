"""What the four vendors have in common: a port, keys, limits, a log, and scripted trouble."""

from __future__ import annotations

import socket
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from domain.clock import Clock
from sandbox.market.market import Market
from sandbox.market.views import Views
from sandbox.vendors import trouble
from sandbox.vendors.clock import SECOND_NS, MarketTime
from sandbox.vendors.faults import Faults
from sandbox.vendors.log import Log
from sandbox.vendors.plans import Account, Allowance, Plans, VendorName

#: bodies below it are not worth compressing
COMPRESS_FROM = 1400
SECRETS = ("apiKey", "token")


@dataclass(frozen=True, slots=True)
class World:
    """What the vendors live in."""

    market: Market
    views: Views
    time: MarketTime
    clock: Clock
    """The wall: limits and their headers go by it."""
    plans: Plans
    faults: Faults
    log: Log


@dataclass(slots=True)
class Reply:
    """An answer before it is bytes."""

    payload: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    """Instead of the payload: plain text."""
    content_type: str = "application/json"


class Refused(Exception):
    """Ends a request with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


Handler = Callable[[web.Request, Account], Reply]


class Vendor(ABC):
    """One vendor's server."""

    name: ClassVar[VendorName]

    def __init__(self, world: World) -> None:
        self.world = world
        self.url = ""
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return what is served: (name, path pattern of aiohttp) and the handler."""

    @abstractmethod
    def add_sockets(self, app: web.Application) -> None:
        """Add the feed's path."""

    @abstractmethod
    def credentials(self, request: web.Request) -> Account:
        """Return whose request it is; raises `Refused`."""

    @abstractmethod
    def too_many(self, account: Account, allowance: Allowance) -> Reply:
        """Return the vendor's words for one request too many."""

    def not_found(self, request: web.Request) -> Reply:
        """Return the vendor's words for a path that it does not have."""
        return Reply({"error": "not found", "path": request.path}, status=404)

    def admitted(self, request: web.Request, account: Account, allowance: Allowance) -> dict[str, str]:  # noqa: ARG002 - for those who have such headers
        """Return the headers that go with every answer to a known key."""
        return {}

    async def start(self, port: int = 0) -> str:
        """Listen on loopback and return the base URL; port 0 lets the operating system choose."""
        app = web.Application()
        self.add_sockets(app)
        for (name, pattern), handler in self.routes().items():
            app.router.add_get(pattern, self._serve(name, handler))
        app.router.add_route("*", "/{rest:.*}", self._serve("unknown", lambda r, _: self.not_found(r)))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handle_signals=False)
        await self._runner.setup()
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        await web.SockSite(self._runner, listening).start()
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def now_ns(self) -> int:
        """The market's time."""
        return self.world.time.now_ns()

    def shown_ns(self, account: Account) -> int:
        """Return up to when a plan may see."""
        return self.now_ns - account.delay_s * SECOND_NS

    def _serve(self, route: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            fault = self.world.faults.take(self.name, route)
            key, reply = self._answer(request, handler, refuse=fault is not None and fault.kind == "429")
            if fault is None:
                response: web.StreamResponse | None = _encoded(reply)
            else:
                response = await trouble.afflict(request, reply, fault, _encoded)
            status = 0 if response is None else response.status
            self.world.log.asked(self.name, key, route, _shown(request), status, fault.kind if fault else "")
            # there is nobody left to answer: aiohttp wants something all the same
            return web.Response() if response is None else response

        return serve

    def _answer(self, request: web.Request, handler: Handler, *, refuse: bool) -> tuple[str, Reply]:
        key = ""
        try:
            account = self.credentials(request)
            key = account.key
            allowance = account.take(self.world.clock.now_ns() / SECOND_NS)
            if allowance.refused or refuse:
                reply = self.too_many(account, allowance)
            else:
                try:
                    reply = handler(request, account)
                except Refused as refused:
                    reply = refused.reply
            for name, value in self.admitted(request, account, allowance).items():
                reply.headers.setdefault(name, value)
        except Refused as refused:
            reply = refused.reply
        return key, reply


def request_id() -> str:
    """Return an id as polygon has them: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def number(value: float) -> float | int:
    """Return a whole number without a decimal point, as encoders other than Python's write it."""
    return int(value) if value % 1 == 0 else value


def _encoded(reply: Reply) -> web.Response:
    if reply.text is not None:
        content = reply.content_type if reply.content_type != "application/json" else "text/plain"
        return web.Response(text=reply.text, status=reply.status, headers=reply.headers, content_type=content)
    body = msgspec.json.encode(reply.payload)
    headers = {"Content-Type": reply.content_type, **reply.headers}
    response = web.Response(body=body, status=reply.status, headers=headers)
    if len(body) >= COMPRESS_FROM:
        response.enable_compression()
    return response


def _shown(request: web.Request) -> str:
    url = request.rel_url
    kept = [(name, value) for name, value in url.query.items() if name not in SECRETS]
    return str(url.with_query(kept))
