"""One key, three worker processes, a server that counts arrivals: never too many, and hardly any too few."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time
import uuid
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from domain.clock import SystemClock
from providers.limits import Leases, LocalLeases, Share
from sinks import budgets
from sinks.budgets import SharedLeases
from sinks.database import Database

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
#: `TAPEFLOW_TEST_BUDGET=60,60,120`: permits, seconds of the window, seconds to run
PERMITS, WINDOW_S, RUN_S = map(int, os.environ.get("TAPEFLOW_TEST_BUDGET", "20,5,31").split(","))


class Counter:
    """A server that knows when every request arrived, and may say "later" once."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, str]] = []
        self.refuse_at: int | None = None
        self.refused_at = math.inf
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        self.arrivals.append((now, request.path))
        if len(self.arrivals) == self.refuse_at:
            self.refused_at = now
            return web.json_response({}, status=429, headers={"Retry-After": "3"})
        return web.json_response({})

    def times(self, share: str = "") -> list[float]:
        return [at for at, path in self.arrivals if share in path]

    def most(self, window_s: float, share: str = "") -> int:
        """Return the largest number of arrivals within any span of the window's length."""
        times = self.times(share)
        return max(i + 1 - bisect_left(times, at - window_s) for i, at in enumerate(times))


@pytest.fixture
async def server() -> AsyncIterator[Counter]:
    counter = Counter()
    app = web.Application()
    app.router.add_get("/{share}", counter.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    counter.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield counter
    await runner.cleanup()


async def run(
    server: Counter,
    url: str,
    shares: list[Share],
    seconds: float,
    *,
    permits: int = PERMITS,
    pause_s: float = 0,
) -> list[dict[str, int]]:
    """Run one worker a share for so long, from when all are ready; return what each counted."""
    order = {
        "database": url,
        "server": server.url,
        "budget": f"polygon:{uuid.uuid4().hex[:16]}",
        "windows": [[permits, WINDOW_S]],
        "pause_s": pause_s,
        "in_flight": 8,
    }
    workers = []
    for share in shares:
        text = json.dumps({**order, "share": share, "patience_s": 0 if share == "live" else 120})
        workers.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.budget_worker", text),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert await worker.stdout.readline() == b"ready\n"
        await asyncio.sleep(seconds)
        said = await asyncio.gather(*(worker.communicate(b"") for worker in workers))
        assert [worker.returncode for worker in workers] == [0] * len(workers)
        return [json.loads(out) for out, _ in said]
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()


@pytest.fixture
async def shared() -> AsyncIterator[Callable[[str], SharedLeases]]:
    """Make leases as a worker has them, counted in a database."""
    opened: list[Database] = []

    def make(url: str) -> SharedLeases:
        opened.append(Database(url, "tapeflow budgets", SystemClock(), budgets.prepare))
        return SharedLeases(opened[-1])

    yield make
    for database in opened:
        await database.close()


@pytest.fixture(params=["in memory", "in the database"])
def leases(request: pytest.FixtureRequest, shared: Callable[[str], SharedLeases]) -> Leases:
    """Both places where permits are counted: one set of rules."""
    if request.param == "in memory":
        return LocalLeases(SystemClock())
    return shared(request.getfixturevalue("timescale_url"))


PAST = """
    insert into rate_leases (budget, share, at, permits)
    select 'a', 'live', now() - (n - 0.5) * interval '1 second', 1 from generate_series(1, 9) as n
    union all select 'b', 'live', now() - interval '9 seconds', 1
"""
FEW: list[tuple[int, float]] = [(3, 0.4), (5, 1.5)]


async def take(leases: Leases, wanted: int, *, least: int = 1, share: Share = "live", name: str = "a") -> Any:
    return await leases.lease(name, share, FEW, least=least, wanted=wanted)


async def test_every_window_holds_and_the_wait_is_right(leases: Leases):
    began = time.monotonic()
    assert await take(leases, 2) == (2, 0.0)
    assert await take(leases, 9) == (1, 0.0)
    permits, wait_s = await take(leases, 9)
    assert permits == 0
    assert 0.2 < wait_s <= 0.4 + budgets.MAX_SLOT_S
    await asyncio.sleep(wait_s + 0.005)
    assert (await take(leases, 9))[0] == 2
    permits, wait_s = await take(leases, 9)
    if wait_s < 0.5:  # in memory the shorter window speaks first
        await asyncio.sleep(wait_s + 0.005)
        permits, wait_s = await take(leases, 9)
    assert permits == 0
    assert 1.2 < time.monotonic() - began + wait_s <= 1.5 + 0.3
    await asyncio.sleep(wait_s + 0.005)
    assert (await take(leases, 1))[0] == 1


async def test_shares_and_keys_count_apart(leases: Leases):
    assert (await take(leases, 9))[0] == 3
    assert (await take(leases, 9))[0] == 0
    assert (await take(leases, 9, share="backfill"))[0] == 3
    assert (await take(leases, 9, name="b"))[0] == 3


async def test_less_than_is_of_use_is_not_taken(leases: Leases):
    assert (await take(leases, 2))[0] == 2
    permits, wait_s = await take(leases, 2, least=2)
    assert permits == 0
    assert wait_s > 0
    assert (await take(leases, 2))[0] == 1


async def test_a_block_is_of_the_whole_key_and_never_shortened(leases: Leases):
    await leases.block("a", 1.0)
    await leases.block("a", 0.1)
    assert (await take(leases, 1, share="backfill"))[0] == 0
    assert (await take(leases, 1, name="b"))[0] == 1
    permits, wait_s = await take(leases, 1)
    assert permits == 0
    assert 0.5 < wait_s <= 1.0
    await asyncio.sleep(wait_s + 0.005)
    assert (await take(leases, 1))[0] == 1


async def test_many_at_the_same_time_take_exactly_what_there_is(
    database_url: str, shared: Callable[[str], SharedLeases]
):
    workers = [shared(database_url) for _ in range(6)]
    took = await asyncio.gather(
        *(workers[n % 6].lease("a", "live", [(50, 60.0)], least=1, wanted=3) for n in range(60))
    )
    assert sum(permits for permits, _ in took) == 50


async def test_leases_of_the_past_are_deleted(timescale_url: str, shared: Callable[[str], SharedLeases]):
    with psycopg.connect(timescale_url, autocommit=True) as connection:
        connection.execute(PAST)
        assert (await shared(timescale_url).lease("a", "live", [(3, 2.5)], least=1, wanted=9))[0] == 1
        rows = connection.execute(
            "select budget, sum(permits)::int from rate_leases group by budget order by 1"
        )
        # twice the window is kept, and nothing of another budget is touched
        assert rows.fetchall() == [("a", 6), ("b", 1)]


async def test_three_workers_fill_a_budget_and_never_exceed_it(server: Counter, timescale_url: str):
    counts = await run(server, timescale_url, ["live", "backfill", "backfill"], RUN_S)
    times = server.times()
    assert server.most(WINDOW_S) <= PERMITS
    assert all(count["sent"] for count in counts)
    # a perfect limiter lets request k * PERMITS + 1 in after k windows
    windows = (len(times) - 1) // PERMITS
    assert windows >= RUN_S // WINDOW_S - 1
    used = windows * WINDOW_S / (times[windows * PERMITS] - times[0])
    print(f"{len(times)} requests, {server.most(WINDOW_S)} at most, {used:.1%} of the budget", counts)
    assert used >= 0.9
    assert server.most(WINDOW_S, "backfill") <= PERMITS - PERMITS // 5


async def test_what_a_vendor_tells_one_worker_stops_all(server: Counter, timescale_url: str):
    """At a pace that leaves most of the budget: nothing but the block makes anybody wait."""
    server.refuse_at = 40
    shares: list[Share] = ["live", "backfill", "backfill"]
    counts = await run(server, timescale_url, shares, 6, permits=10_000, pause_s=0.2)
    assert [count["told"] for count in counts].count(1) == 1
    after = [at - server.refused_at for at in server.times() if at > server.refused_at]
    assert [at for at in after if 0.4 < at < 2.99] == []
    for share in ("live", "backfill"):
        assert max(server.times(share)) > server.refused_at + 3, "nobody went on"


async def test_a_permit_is_not_counted_as_used_before_it_is(
    timescale_url: str, shared: Callable[[str], SharedLeases]
):
    with psycopg.connect(timescale_url, autocommit=True) as connection:
        for n in range(5):
            before = connection.execute("select clock_timestamp()").fetchone()
            await shared(timescale_url).lease(f"{n}", "live", [(9, 60.0)], least=1, wanted=2)
            ahead = connection.execute(
                "select at - %s between interval '0' and interval '1 second', permits from rate_leases"
                " where budget = %s",
                (before and before[0], f"{n}"),
            ).fetchall()
            assert ahead == [(True, 2)]
