"""The pages in Faust's own web server, over a real socket; no broker, no database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import faust
import pytest
from aiohttp import web
from faust.web.drivers.aiohttp import Web
from yarl import URL

from domain.clock import SystemClock
from ops.access import OPEN_PATHS, Access
from ops.assets import assets
from ops.operations import Operations
from ops.quotes import QuotePage
from ops.site import SECURITY_HEADERS, Site, prefers_json
from schemas.errors import BrokerAway, ConfigInvalid
from schemas.provider import PROVIDERS
from schemas.quote import L1Quote
from streams.control import Proposal
from streams.status import WorkerStatus
from tests.unit.ops.snapshots import away, table, worker

TOKEN = "let-me-in-please"
PAGES = {
    "/",
    "/livez",
    "/readyz",
    "/health",
    "/metrics",
    "/stats/providers",
    "/providers/{name}/health-history",
    "/quotes/{name}",
    "/ops/validate",
    "/ops/config/reload",
    "/static/{name}",
}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CHANGED = Proposal(("policy_bars_1m",), ("log_level",), ("web_port",), {"policy_bars_1m": ["iex"]})


@dataclass
class Worker:
    """Something to take snapshots of."""

    snapshot: WorkerStatus = field(default_factory=worker)
    failure: Exception | None = None
    asked: int = 0
    version: str = "4-abcdefabcdef"
    wrong: str = ""
    """What is wrong with the files."""
    broken: str = ""
    """Why the broker takes nothing."""
    published: list[tuple[str, str]] = field(default_factory=list)
    """(actor, note)."""
    quotes: dict[str, L1Quote] = field(default_factory=dict)
    """What is stored."""
    refusals: int = 0

    def propose(self) -> Proposal:
        if self.wrong:
            raise ConfigInvalid(self.wrong)
        return CHANGED

    def refused(self) -> None:
        self.refusals += 1

    async def publish(self, proposal: Proposal, *, actor: str, note: str = "") -> str:
        if self.broken:
            raise BrokerAway(self.broken)
        self.published.append((actor, note))
        self.version = "5-012345678901"
        return self.version

    async def stored(self, symbol: str) -> L1Quote | None:
        return self.quotes.get(symbol)

    def status(self) -> WorkerStatus:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.snapshot


@dataclass
class Served:
    """A running server."""

    worker: Worker
    web_app: web.Application
    url: str
    client: aiohttp.ClientSession

    async def get(self, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, str]:
        async with self.client.get(self.url + path, **options) as response:
            return response, await response.text()


@asynccontextmanager
async def serve(token: str = "", addresses: tuple[str, ...] = ("127.0.0.1",)) -> AsyncIterator[Served]:
    app = faust.App(
        "tapeflow-pages",
        broker="kafka://127.0.0.1:1",
        web_bind="127.0.0.1",
        web_tables_enabled=True,  # the guard must cover whatever Faust adds
        web_router_enabled=True,
        web_stats_enabled=True,
    )
    app.finalize()
    made_up = Worker()
    operations = Operations(lambda: made_up)
    quotes = QuotePage(lambda _: None, made_up.stored)
    Site(made_up.status, lambda: Access(addresses, token), operations, quotes, SystemClock()).mount(app)
    server = cast(Web, app.web)
    server.init_server()
    runner = server._runner
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as client:
            yield Served(made_up, server.web_app, f"http://127.0.0.1:{port}", client)
    finally:
        await server.stop_server()


def routes(web_app: web.Application) -> list[tuple[str, str]]:
    """Every route there is: method and path, with something in the place of variables."""
    return [
        (route.method, "".join("x" if p.startswith("{") else p for p in _parts(route.resource.canonical)))
        for route in web_app.router.routes()
        if route.resource is not None
    ]


def _parts(canonical: str) -> list[str]:
    return canonical.replace("{", "\0{").replace("}", "}\0").split("\0")


async def test_every_route_is_behind_the_token():
    async with serve(TOKEN, ("0.0.0.0",)) as served:
        known = routes(served.web_app)
        assert {path for _, path in known} >= {p.replace("{name}", "x") for p in PAGES}
        assert any(path.startswith("/table") for _, path in known), "Faust's own are in the list"
        for method, path in [
            *known,
            ("GET", "/nowhere"),
            ("POST", "/"),
            ("OPTIONS", "/metrics"),
            ("PUT", "/x"),
        ]:
            async with served.client.request(method, served.url + path) as response:
                expected = {200, 503} if path in OPEN_PATHS else {401}
                assert response.status in expected, (method, path, response.status)
                assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
                if response.status == 401:
                    assert len(response.headers.getall("WWW-Authenticate")) == 2
        assert served.worker.asked <= 4 + 2, "a refused request has asked for a snapshot"


async def test_the_token_opens_the_pages():
    async with serve(TOKEN, ("0.0.0.0",)) as served:
        for headers in (
            {"Authorization": f"Bearer {TOKEN}"},
            {"Authorization": aiohttp.encode_basic_auth("", TOKEN)},
        ):
            response, text = await served.get("/", headers=headers)
            assert response.status == 200
            assert "keeping up" in text
            assert TOKEN not in text


async def test_loopback_refuses_a_name_that_was_rebound():
    async with serve() as served:
        response, text = await served.get("/", headers={"Host": "evil.example"})
        assert response.status == 421
        assert json.loads(text)["status"] == 421
        response, _ = await served.get("/")
        assert response.status == 200


async def test_headers():
    async with serve() as served:
        for path in ("/", "/livez", "/readyz", "/health", "/metrics", "/nowhere"):
            response, _ = await served.get(path)
            assert response.headers["Cache-Control"] == "no-store", path
            for name, value in SECURITY_HEADERS.items():
                assert response.headers.getall(name) == [value], (path, name)
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_one_view_model_two_faces():
    async with serve() as served:
        _, html = await served.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
        assert html.startswith("<!DOCTYPE html>")
        response, text = await served.get("/", headers={"Accept": "application/json"})
        assert response.content_type == "application/json"
        model = json.loads(text)
        assert model["verdict"]["word"] == "OK"
        assert f"<b>{model['rates']['records_in']:,.0f}</b>" in html


async def test_files_may_be_kept_for_ever_and_nothing_else_is_served():
    async with serve() as served:
        for asset in assets().values():
            response, _ = await served.get(asset.path)
            assert response.status == 200
            assert "immutable" in response.headers["Cache-Control"]
            assert response.content_type == asset.content_type
        for path in (
            "/static/",
            "/static/vendor.lock",
            "/static/..%2Fpages.py",
            "/static/%00",
            "/static/status.css",
        ):
            response, text = await served.get(path)
            assert response.status == 404, path
            assert response.content_type == "application/problem+json"
            assert json.loads(text)["title"] == "Not Found"


async def test_gzip_if_wanted():
    async with serve() as served:
        served.client.headers["Accept-Encoding"] = "gzip"
        response, text = await served.get("/")
        assert response.headers["Content-Encoding"] == "gzip"
        assert text.startswith("<!DOCTYPE html>")
        assert int(response.headers["Content-Length"]) < 5_000
        response, _ = await served.get("/livez")
        assert "Content-Encoding" not in response.headers


async def test_probes_follow_the_worker():
    async with serve() as served:
        assert (await served.get("/readyz"))[0].status == 200
        served.worker.snapshot = worker(phase="waiting_for_database", database=away())
        response, text = await served.get("/readyz")
        assert (response.status, response.content_type) == (503, "application/problem+json")
        assert json.loads(text)["detail"] == "waiting for the database: connection refused"
        assert (await served.get("/health"))[0].status == 503
        assert (await served.get("/livez"))[0].status == 200
        response, text = await served.get("/")
        assert response.status == 200
        assert "waiting for the database" in text


async def test_metrics_in_both_formats():
    async with serve() as served:
        response, text = await served.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'tapeflow_records_total{outcome="in"} 6.1204118e+07' in text
        response, text = await served.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")


async def test_providers():
    async with serve() as served:
        served.worker.snapshot = worker(providers=table())
        response, text = await served.get("/providers/polygon/health-history")
        assert (response.status, response.content_type) == (200, "application/json")
        answer = json.loads(text)
        assert (answer["provider"], len(answer["history"])) == ("polygon", 60)
        assert answer["history"][0].keys() == {"timestamp", "score"}
        response, text = await served.get("/stats/providers")
        assert response.status == 200
        assert [row["name"] for row in json.loads(text)["providers"]] == list(PROVIDERS)
        for path in ("kraken", "..%2Fetc", "%00", "polygon%20"):
            response, text = await served.get(f"/providers/{path}/health-history")
            assert (response.status, response.content_type) == (404, "application/problem+json")
            assert json.loads(text)["status"] == 404


async def test_the_last_quote_of_a_symbol_however_it_is_written():
    async with serve() as served:
        for symbol in ("BRK.B", "XBT/USDT", "ES#F", "^GSPC"):
            served.worker.quotes[symbol] = L1Quote(symbol, 1_762_795_433_971_744_500, 7, "kraken", bid=1.5)
        for path, symbol in {
            "BRK.B": "BRK.B",
            "XBT/USDT": "XBT/USDT",
            "XBT%2FUSDT": "XBT/USDT",
            "ES%23F": "ES#F",
            "%5EGSPC": "^GSPC",
        }.items():
            async with served.client.get(URL(f"{served.url}/quotes/{path}", encoded=True)) as response:
                assert (response.status, response.content_type) == (200, "application/json"), path
                assert await response.json() == {
                    "symbol": symbol, "ts_event": 1_762_795_433_971_744_500, "n": 7,
                    "provider": "kraken", "bid": 1.5, "source": "table",
                }  # fmt: skip
        for path in ("MSFT", "aapl", "", "%00", "..%2F..%2Fmetrics", "AAPL%20", "A" * 33):
            async with served.client.get(URL(f"{served.url}/quotes/{path}", encoded=True)) as response:
                assert response.status == 404, path
                assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_pages_are_to_look_at(method):
    async with serve(TOKEN) as served:
        for path in ("/", "/metrics", "/health", "/ops/validate", "/quotes/AAPL"):
            async with served.client.request(method, served.url + path, headers=BEARER) as response:
                assert response.status == 405
                assert response.content_type == "application/problem+json"
        response, _ = await served.get("/ops/config/reload", headers=BEARER)
        assert response.status == 405
        assert served.worker.published == []


async def post(served: Served, **options: Any) -> tuple[int, dict[str, Any]]:
    async with served.client.post(served.url + "/ops/config/reload", **options) as response:
        return response.status, await response.json(content_type=None)


async def test_a_reload_says_what_it_did():
    async with serve(TOKEN) as served:
        body = {"actor": "ann", "note": "polygon is slow"}
        assert await post(served, headers=BEARER, json=body) == (
            200,
            {
                "ok": True,
                "policy_version": "5-012345678901",
                "error": None,
                "changed": ["policy_bars_1m"],
                "pinned": ["log_level"],
                "requires_restart": ["web_port"],
            },
        )
        assert served.worker.published == [("ann", "polygon is slow")]
        status, _ = await post(served, headers=BEARER)
        assert status == 200
        assert served.worker.published[1] == ("somebody at 127.0.0.1", "")


async def test_a_reload_that_is_refused_says_why_and_changes_nothing():
    async with serve(TOKEN) as served:
        served.worker.wrong = "unknown provider 'foo' in POLICY_BARS_1M"
        status, answer = await post(served, headers=BEARER)
        assert (status, answer["ok"], answer["error"]) == (400, False, served.worker.wrong)
        assert answer["policy_version"] == "4-abcdefabcdef"
        assert (served.worker.published, served.worker.refusals) == ([], 1)
        response, text = await served.get("/ops/validate")
        assert (response.status, json.loads(text)["error"]) == (200, served.worker.wrong)


async def test_a_reload_without_a_broker_says_so():
    async with serve(TOKEN) as served:
        served.worker.broken = "the broker does not take records"
        status, answer = await post(served, headers=BEARER)
        assert (status, answer["error"], answer["ok"]) == (503, served.worker.broken, False)


async def test_validate_changes_nothing():
    async with serve() as served:
        response, text = await served.get("/ops/validate")
        answer = json.loads(text)
        assert (response.status, answer["ok"], answer["changed"]) == (200, True, ["policy_bars_1m"])
        assert served.worker.published == []


@pytest.mark.parametrize(
    "body",
    [
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        {"data": b"\xff", "headers": {"Content-Type": "application/json"}},
        {"data": b"note=x", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": b'{"note": "x"}', "headers": {"Content-Type": "text/plain"}},
        {"json": ["note"]},
        {"json": {"settings": {}}},
        {"json": {"note": 1}},
        {"json": {"note": "two\nlines"}},
        {"json": {"actor": "a" * 129}},
        {"json": {"note": "n" * 20_000}},
    ],
    ids=str,
)
async def test_what_is_no_request_is_refused(body):
    async with serve(TOKEN) as served:
        headers = BEARER | body.pop("headers", {})
        status, answer = await post(served, headers=headers, **body)
        assert (status, answer["title"]) == (400, "Bad Request")
        assert served.worker.published == []


@pytest.mark.parametrize(
    ("token", "headers", "code"),
    [
        ("", {}, 403),
        ("", BEARER, 403),
        (TOKEN, {}, 401),
        (TOKEN, {"Authorization": "Bearer wrong"}, 401),
        (TOKEN, BEARER | {"Origin": "https://evil.example"}, 403),
        (TOKEN, BEARER | {"Origin": "null"}, 403),
        (TOKEN, BEARER | {"Sec-Fetch-Site": "cross-site"}, 403),
        (TOKEN, BEARER | {"Sec-Fetch-Site": "same-site"}, 403),
        (TOKEN, BEARER | {"Host": "evil.example"}, 421),
    ],
)
async def test_who_may_not_change_anything_on_loopback_either(token, headers, code):
    async with serve(token) as served:
        status, answer = await post(served, headers=headers)
        assert (status, answer["status"]) == (code, code)
        assert served.worker.published == []


async def test_the_page_itself_may():
    async with serve(TOKEN) as served:
        own = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
        assert (await post(served, headers=BEARER | own))[0] == 200


async def test_head_has_no_body():
    async with serve() as served, served.client.head(served.url + "/") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_text_that_is_no_unicode_is_still_a_page():
    async with serve() as served:
        served.worker.snapshot = worker(database=away(detail="odd \udcff name"))
        for accept in ("text/html", "application/json"):
            response, text = await served.get("/", headers={"Accept": accept})
            assert response.status == 200
            assert "odd \\udcff name" in text


async def test_a_failing_page_says_nothing_of_the_failure(caplog):
    async with serve() as served:
        served.worker.failure = RuntimeError("password=hunter2")
        response, text = await served.get("/health")
        assert response.status == 500
        assert "hunter2" not in text
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "a page failed: /health" in caplog.text


async def test_the_curve_grows_without_visitors():
    async with serve() as served:
        async with asyncio.timeout(10):
            while served.worker.asked < 2:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json, text/html", False),
        ("application/json;q=0.9, text/html;q=0.5", True),
        ("application/json;q=x", False),
        ("application/json;q=0", False),
    ],
)
def test_prefers_json(accept, wanted):
    assert prefers_json(accept) is wanted
