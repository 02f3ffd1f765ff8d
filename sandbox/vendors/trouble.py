"""Carries out a scripted fault on a REST answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from sandbox.vendors.faults import Fault

if TYPE_CHECKING:
    from sandbox.vendors.vendor import Reply

HTML = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
REASONS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
#: a host of nobody; whoever sends a key there is wrong
FOREIGN = "https://collector.invalid"
PIECES = 20


async def afflict(
    request: web.Request, reply: Reply, fault: Fault, encode: Callable[[Reply], web.Response]
) -> web.StreamResponse | None:
    """Return the answer with the fault in it, None if the connection was reset instead."""
    kind = fault.kind
    if kind == "reset":
        _abort(request)
        return None
    if kind == "stall":
        await asyncio.sleep(fault.seconds)
        return encode(reply)
    if kind in ("slow", "cut"):
        return await _drip(request, encode(reply), fault)
    if kind in _PAGES:
        return _PAGES[kind](fault)
    if kind == "429" and fault.retry_after is not None:
        reply.headers["Retry-After"] = fault.retry_after
    elif kind == "wrong_type":
        reply.payload = _as_text(msgspec.to_builtins(reply.payload))
    elif kind == "mutate" and fault.change is not None:
        reply.payload = fault.change(msgspec.to_builtins(reply.payload))
    elif kind in ("looping_cursor", "foreign_next"):
        _turn(request, reply, kind)
    response = encode(reply)
    if kind == "truncated":
        body = _bytes(response)
        cut = web.Response(body=body[: len(body) // 2], status=response.status)
        cut.content_type = "application/json"
        return cut
    if kind == "wrong_content_type":
        response.content_type = "text/html"
    return response


def _page(status: int) -> web.Response:
    title = f"{status} {REASONS.get(status, 'Error')}"
    return web.Response(text=HTML.format(title), status=status, content_type="text/html")


def _said(fault: Fault) -> web.Response:
    return web.Response(body=fault.body, status=fault.status, content_type=fault.text or "application/json")


def _redirect(_: Fault) -> web.Response:
    return web.Response(
        text=HTML.format("302 Found"), status=302, content_type="text/html", headers={"Location": FOREIGN}
    )


_PAGES: dict[str, Callable[[Fault], web.Response]] = {
    "5xx": lambda fault: _page(fault.status),
    "html": lambda _: web.Response(text=HTML.format("Welcome"), content_type="text/html"),
    "redirect": _redirect,
    "status": _said,
}


def _abort(request: web.Request) -> None:
    transport = request.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _bytes(response: web.Response) -> bytes:
    body = response.body
    assert isinstance(body, bytes)
    return body


async def _drip(request: web.Request, whole: web.Response, fault: Fault) -> web.StreamResponse | None:
    """Send the body in pieces; of ``cut`` half of it, and then nothing."""
    body = _bytes(whole)
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    response.content_length = len(body)
    await response.prepare(request)
    if fault.kind == "cut":
        await response.write(body[: len(body) // 2])
        _abort(request)
        return None
    size = max(1, len(body) // PIECES)
    try:
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(fault.seconds / PIECES)
    except ConnectionError:
        return None
    await response.write_eof()
    return response


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_text(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_text(part) for part in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _turn(request: web.Request, reply: Reply, kind: str) -> None:
    """Point the next page at this one, or at a foreign host; vendors with tokens get a used one."""
    payload = reply.payload
    if not isinstance(payload, dict):
        return
    if "next_page_token" in payload:
        # whatever page was asked for, the same token: it always leads to the second page
        payload["next_page_token"] = request.query.get("page_token") or payload["next_page_token"]
    else:
        host = FOREIGN if kind == "foreign_next" else "https://api.massive.com"
        path = request.rel_url.update_query(cursor=request.query.get("cursor", "bGltaXQ9Mg"))
        payload["next_url"] = f"{host}{path.without_query_params('apiKey')}"
