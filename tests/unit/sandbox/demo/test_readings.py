"""The demo reads the worker's own page, and no other one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ops.view import view
from sandbox.demo.readings import Page, Reader
from tests.unit.ops.snapshots import worker

NOW_NS = 1_762_795_433_971_744_500
STATUS = worker()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def read(session: aiohttp.ClientSession, name: str, body: Any, status: int = 200) -> Page | None:
    """What is read from a page that answers so, of a worker of that name."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=json.dumps(body), content_type="application/json")

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        reader = Reader("", "", str(server.make_url("/")), name)
        reader._web = session
        return await reader.page()


async def test_the_page_of_the_worker(session: aiohttp.ClientSession) -> None:
    model = view(STATUS, NOW_NS)
    page = await read(session, STATUS.worker_id, model)
    assert page == Page(
        verdict=model["verdict"]["word"],
        reason=model["verdict"]["reason"],
        phase=STATUS.phase,
        records_in=STATUS.counters.records_in,
        stored=STATUS.counters.stored,
        dead_letters=STATUS.counters.dead_lettered,
        lag=model["lag"]["records"],
        last_commit_s=STATUS.last_commit_s,
    )


async def test_the_page_of_another_worker_on_that_port(session: aiohttp.ClientSession) -> None:
    assert await read(session, "demo-1", view(STATUS, NOW_NS)) is None


async def test_a_page_that_fails(session: aiohttp.ClientSession) -> None:
    assert await read(session, STATUS.worker_id, {"title": "no"}, status=500) is None


async def test_no_page(session: aiohttp.ClientSession) -> None:
    reader = Reader("", "", "http://127.0.0.1:1/", STATUS.worker_id)
    reader._web = session
    assert await reader.page() is None
