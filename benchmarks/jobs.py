"""``python -m benchmarks.jobs``: one-symbol bar jobs through one worker, against the bare HTTP call.

In one run: the calls alone (aiohttp, the body read), the same calls through the provider's client (paths,
checks, rows), and whole jobs: record, route, call, rows, attempt, outcome, acknowledgement. The vendor
is a process of its own that answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import aiohttp
import uvloop
from confluent_kafka import Producer
from pydantic import SecretStr

from benchmarks import fill
from benchmarks.contender import Contender
from benchmarks.run import Bench, Bound
from benchmarks.services import services
from domain.clock import SystemClock
from providers.base import BarsRequest
from providers.polygon.client import PolygonClient
from providers.polygon.config import PolygonConfig
from schemas.instant import nanos
from schemas.jobs import BarsFetchJob, TimeWindow, encode_job
from streams import topics
from telemetry.logs import silenced

JOBS_PER_S = 300
OVERHEAD_MS = 1.5
AT_ONCE = 32
START = datetime(2026, 1, 5, 15, tzinfo=UTC)
LENGTH = timedelta(minutes=30)


Ask = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call or job takes."""

    per_s: float
    cpu_ms: float
    """Of the process that asks."""


@contextmanager
def vendor() -> Iterator[str]:
    """Run the vendor and yield its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.jobs_vendor"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


def symbols(count: int) -> list[str]:
    """Return so many symbols."""
    return [f"S{n:04d}" for n in range(count)]


def measured(count: int, make: Callable[[], AbstractAsyncContextManager[Ask]]) -> Cost:
    """Ask for every symbol, so many at a time, and return what one takes."""

    async def run() -> Cost:
        async with make() as ask:
            return await measure(ask)

    async def measure(ask: Ask) -> Cost:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(symbol: str) -> None:
            async with slots:
                await ask(symbol)

        await one("WARM")
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*map(one, symbols(count)))
        took, used = time.monotonic() - began, time.process_time() - cpu
        return Cost(count / took, used / count * 1_000)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def bare(url: str, count: int) -> Cost:
    """Measure the calls alone."""
    first, last = nanos(START) // 1_000_000, nanos(START + LENGTH) // 1_000_000 - 1

    @asynccontextmanager
    async def make() -> AsyncIterator[Ask]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8)) as session:

            async def ask(symbol: str) -> bytes:
                path = f"{url}/v2/aggs/ticker/{symbol}/range/1/minute/{first}/{last}"
                params = {"adjusted": "false", "sort": "asc", "limit": "50000"}
                async with session.get(path, params=params, headers={"Authorization": "Bearer k"}) as answer:
                    return await answer.read()

            yield ask

    return measured(count, make)


def client(url: str, count: int) -> Cost:
    """Measure the calls through the provider's client."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Ask]:
        polygon = PolygonClient(PolygonConfig(key=SecretStr("k"), plan="paid", base_url=url), SystemClock())

        def ask(symbol: str) -> Awaitable[object]:
            return polygon.bars(BarsRequest((symbol,), "1m", nanos(START), nanos(START + LENGTH)))

        yield ask
        await polygon.close()

    return measured(count, make)


class Jobs:
    """Whole jobs through a worker."""

    def __init__(self, bench: Bench, url: str, count: int) -> None:
        """Take broker and database of ``bench``, and the vendor."""
        self._bench, self._url, self._count = bench, url, count
        self._prefix = f"b{uuid.uuid4().hex[:8]}."

    def run(self) -> Cost:
        """Start a worker on a filled topic and return what a job takes, start and warming aside."""
        asyncio.run(topics.apply(self._bench.bootstrap, prefix=self._prefix, partitions=fill.PARTITIONS))
        self._fill(50, "warm")
        with self._bench.worker_of(
            self._prefix,
            POLYGON_API_KEY="k",
            POLYGON_PLAN="paid",
            POLYGON_URL=self._url,
            JOBS_IN_FLIGHT=str(AT_ONCE),
        ) as worker:
            worker.until(lambda: _done(worker) >= 50)
            time.sleep(1.0)  # what follows the last warm job has run out
            cpu, began = worker.cpu_s(), time.monotonic()
            self._fill(self._count, "job")
            worker.until(lambda: _done(worker) >= 50 + self._count)
            took = time.monotonic() - began
            return Cost(self._count / took, (worker.cpu_s() - cpu) / self._count * 1_000)

    def _fill(self, count: int, name: str) -> None:
        producer = Producer({"bootstrap.servers": self._bench.bootstrap, "partitioner": "murmur2"})
        window = TimeWindow(start=START, end=START + LENGTH)
        for n, symbol in enumerate(symbols(count)):
            job = BarsFetchJob(job_id=f"{name}-{n}", symbols=(symbol,), interval="1m", window=window)
            producer.produce(f"{self._prefix}md.jobs.v1", encode_job(job), key=job.job_id.encode())
        assert producer.flush(30) == 0


def _done(worker: Contender) -> int:
    return worker.count("select count(*) from jobs where state = 'done'")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    runs: dict[str, list[Cost]] = {"bare call": [], "client": [], "job": []}
    with ExitStack() as stack:
        stack.enter_context(silenced("aiokafka"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapeflow-bench-")))
        folder.chmod(0o711)
        bench = Bench(*services(stack, folder), folder)
        url = stack.enter_context(vendor())
        contestants: dict[str, Callable[[], Cost]] = {
            "bare call": lambda: bare(url, options.jobs),
            "client": lambda: client(url, options.jobs),
            "job": lambda: Jobs(bench, url, options.jobs).run(),
        }
        for n in range(options.runs):
            for name, run in contestants.items():
                runs[name].append(run())
                cost = runs[name][-1]
                print(
                    f"run {n + 1}: {name:<10}{cost.per_s:>8,.0f}/s{cost.cpu_ms:>8.2f} ms CPU", file=sys.stderr
                )
    return _report(runs)


def _report(runs: dict[str, list[Cost]]) -> int:
    cpu = {name: median(cost.cpu_ms for cost in costs) for name, costs in runs.items()}
    rate = {name: median(cost.per_s for cost in costs) for name, costs in runs.items()}
    bounds = [
        Bound("one-symbol jobs through one worker, jobs/s", rate["job"], JOBS_PER_S, at_least=True),
        Bound(
            "CPU of a job beyond the bare call, ms",
            cpu["job"] - cpu["bare call"],
            OVERHEAD_MS,
            at_least=False,
        ),
    ]
    print(f"\n{'':<12}{'per s':>10}{'ms CPU':>10}   ({os.cpu_count()} cores)")
    for name in runs:
        print(f"{name:<12}{rate[name]:>10,.0f}{cpu[name]:>10.2f}")
    print()
    for bound in bounds:
        print(bound.line())
    return 0 if all(bound.kept for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
