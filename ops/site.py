"""The web side of a worker: its pages, put into Faust's own aiohttp server behind one guard."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

import faust
from aiohttp import web
from aiohttp.typedefs import Middleware
from faust.web.drivers.aiohttp import Web
from multidict import CIMultiDict

from domain.clock import Clock
from ops.access import Access
from ops.assets import asset_at
from ops.health import JSON, Answer, health, livez, problem, readyz
from ops.history import STEP_S, History
from ops.operations import Operations
from ops.page import render
from ops.providers import health_history, stats
from ops.quotes import QuotePage
from ops.samples import samples
from ops.view import view
from streams.status import WorkerStatus
from telemetry import exposition

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Server": "tapeflow",
}
NO_STORE = {"Cache-Control": "no-store"}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_WORTH_COMPRESSING = 1_024

log = logging.getLogger(__name__)


class Site:
    """Answers requests from snapshots; only for a quote it may ask the database."""

    def __init__(
        self,
        status: Callable[[], WorkerStatus],
        access: Callable[[], Access],
        operations: Operations,
        quotes: QuotePage,
        clock: Clock,
    ) -> None:
        """Take where the snapshots come from, who may see them, and what can be changed.

        Args:
            status: called once a request and once a second, in the loop of the web server.
            access: asked when the server starts, because only then its address is certain.
            operations: handlers of what an operator changes.
            quotes: the handler of last quotes.
            clock: for the time on the page and the curve.
        """
        self._status = status
        self._make_access = access
        self._operations = operations
        self._quotes = quotes
        self._clock = clock
        self._history = History()
        self._registry = exposition.registry(lambda: samples(status()))
        self._access: Access | None = None
        self._sampling: asyncio.Task[None] | None = None

    def mount(self, app: faust.App) -> None:
        """Put pages and guard into the app's web server; must happen before it starts."""
        web_app = cast(Web, app.web).web_app
        web_app.middlewares.insert(0, self.guard())
        web_app.on_startup.append(self._start)
        web_app.on_cleanup.append(self._stop)
        routes = {
            "/": self.status_page,
            "/livez": self.livez,
            "/readyz": self.readyz,
            "/health": self.health,
            "/metrics": self.metrics,
            "/stats/providers": self.provider_stats,
            "/providers/{name}/health-history": self.provider_history,
            "/quotes/{symbol:.+}": self.quote,
            "/ops/validate": self.validate,
            "/static/{name}": self.static,
        }
        for path, handler in routes.items():
            app.page(path, name=f"tapeflow:{path}")(_page(handler))
        # Faust's pages answer to GET alone
        web_app.router.add_post("/ops/config/reload", self.reload)

    def guard(self) -> Middleware:
        """Return the middleware around every route, Faust's own and unknown ones too."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = self._refusal(request) or await _answer(request, handler)
            response.headers.update(SECURITY_HEADERS)
            response.headers.setdefault("Cache-Control", "no-store")
            if isinstance(response, web.Response) and len(response.body or b"") > _WORTH_COMPRESSING:  # type: ignore[arg-type]  # ours are bytes
                response.headers["Vary"] = "Accept, Accept-Encoding"
                if "gzip" in request.headers.get("Accept-Encoding", ""):
                    response.enable_compression(web.ContentCoding.gzip)
            return response

        return guard

    async def status_page(self, request: web.Request) -> web.Response:
        """Return the page, or its view model as JSON if that is preferred."""
        status = self._status()
        now = self._clock.monotonic()
        self._history.add(now, status.counters)
        model = view(status, self._clock.now_ns(), self._history.points(now))
        if prefers_json(request.headers.get("Accept", "")):
            return _json(Answer(HTTPStatus.OK, model))
        body = render(model).encode("utf-8", "backslashreplace")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=NO_STORE)

    async def livez(self, _request: web.Request) -> web.Response:
        """Return whether the worker lives."""
        return _json(livez(self._status()))

    async def readyz(self, _request: web.Request) -> web.Response:
        """Return whether the worker works."""
        return _json(readyz(self._status()))

    async def health(self, _request: web.Request) -> web.Response:
        """Return the state of every component."""
        return _json(health(self._status()))

    async def metrics(self, request: web.Request) -> web.Response:
        """Return the metrics."""
        body, content_type = exposition.render(self._registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, **NO_STORE})

    async def provider_stats(self, _request: web.Request) -> web.Response:
        """Return the provider table."""
        return _json(stats(self._status(), self._clock.now_ns()))

    async def provider_history(self, request: web.Request) -> web.Response:
        """Return the score of one provider over time."""
        return _json(health_history(self._status(), request.match_info["name"], request.path))

    async def quote(self, request: web.Request) -> web.Response:
        """Return the last quote of one symbol."""
        return _json(await self._quotes.answer(request.match_info["symbol"], request.path))

    async def validate(self, _request: web.Request) -> web.Response:
        """Return what a reload would do."""
        return _json(self._operations.validate())

    async def reload(self, request: web.Request) -> web.Response:
        """Reload the settings of the fleet."""
        return _json(await self._operations.reload(request))

    async def static(self, request: web.Request) -> web.Response:
        """Return one of the page's own files."""
        asset = asset_at(request.path)
        if asset is None:
            raise web.HTTPNotFound
        return web.Response(
            body=asset.body, content_type=asset.content_type, charset="utf-8", headers=FOR_EVER
        )

    def _refusal(self, request: web.Request) -> web.Response | None:
        assert self._access is not None  # a server that has not started has no requests
        refusal = self._access.refusal(
            request.path,
            request.headers.getall("Host", []),
            request.headers.get("Authorization"),
            changes=request.method not in SAFE_METHODS,
            origin=request.headers.get("Origin"),
            fetch_site=request.headers.get("Sec-Fetch-Site"),
        )
        if refusal is None:
            return None
        response = _json(problem(refusal.code, refusal.detail, request.path))
        for challenge in refusal.challenges:
            response.headers.add("WWW-Authenticate", challenge)
        return response

    async def _start(self, _app: web.Application) -> None:
        self._access = self._make_access()
        self._sampling = asyncio.create_task(self._sample(), name="tapeflow status history")

    async def _stop(self, _app: web.Application) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sampling
            self._sampling = None

    async def _sample(self) -> None:
        while True:
            try:
                self._history.add(self._clock.monotonic(), self._status().counters)
            except Exception:  # a curve may have a hole; it must not end
                log.exception("no snapshot for the history")
            await asyncio.sleep(STEP_S)


def prefers_json(accept: str) -> bool:
    """Say whether JSON is wanted more than HTML; whoever has no preference gets HTML."""
    quality = {"application/json": 0.0, "text/html": 0.0}
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        if media in quality:
            quality[media] = next((_float(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
    return quality["application/json"] > quality["text/html"]


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as exc:
        if exc.status < HTTPStatus.BAD_REQUEST:
            raise
        response = _json(problem(HTTPStatus(exc.status), exc.reason, request.path))
        if "Allow" in exc.headers:
            response.headers["Allow"] = exc.headers["Allow"]
        return response
    except Exception:  # the answer of an error, too, must carry the headers of the guard
        log.exception("a page failed: %s", request.path)
        detail = "the worker's log has the reason"
        return _json(problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, request.path))


def _page(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Any:
    """Give a bound handler the shape that Faust makes views of: (view, request, what the path says)."""

    async def page(_view: object, request: web.Request, **_path: str) -> web.Response:
        return await handler(request)

    return page


def _json(answer: Answer) -> web.Response:
    body = json.dumps(answer.body, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    content_type = answer.content_type
    headers = CIMultiDict(NO_STORE)
    headers["Content-Type"] = f"{content_type}; charset=utf-8" if content_type == JSON else content_type
    return web.Response(body=body, status=answer.code, headers=headers)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
