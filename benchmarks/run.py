"""``make bench``: the worker, a bare loop and a stock Faust agent on one machine, in one run.

All three decode, fold, publish, store in the same database through the same statements and commit. Runs
of worker and bare loop alternate, so that what the machine does otherwise hits both; figures are medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from benchmarks import fill
from benchmarks.contender import Contender, Figure, middle
from benchmarks.fill import Filled
from benchmarks.services import services
from migrations.runner import migrate_up
from telemetry.logs import silenced

LIVE_RATE = 5_000
LIVE_WARM_S = 6.0
LIVE_S = 20.0
PACKAGES = ("faust-streaming", "aiokafka", "msgspec", "pydantic", "psycopg", "uvloop")


class Bound(NamedTuple):
    """One promise, and what was measured."""

    name: str
    value: float
    limit: float
    at_least: bool

    @property
    def kept(self) -> bool:
        """Whether it holds."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self) -> str:
        """Return it for people."""
        sign = ">=" if self.at_least else "<="
        verdict = "ok  " if self.kept else "MISS"
        return f"{verdict}  {self.name:<58} {self.value:>8.2f}   bound {sign} {self.limit:g}"


class Bench:
    """One broker, one database server, many runs."""

    def __init__(self, bootstrap: str, database_url: str, folder: Path) -> None:
        """Take where to run; ``database_url`` may create databases."""
        self.bootstrap, self._maintenance, self._log = bootstrap, database_url, folder / "contenders.log"

    def worker(self, topics: Filled, **settings: str) -> Contender:
        """Return a tapeflow worker."""
        return self.worker_of(topics.prefix, **settings)

    def worker_of(self, prefix: str, **settings: str) -> Contender:
        """Return a tapeflow worker on topics of this prefix."""
        return Contender("ops.cli", ["worker"], self._env(prefix, **settings), self._log)

    def bare(self, topics: Filled) -> Contender:
        """Return the bare loop."""
        return Contender("benchmarks.bare_loop", [], self._env(topics.prefix), self._log)

    def stock(self, topics: Filled) -> Contender:
        """Return the stock Faust agent."""
        return Contender(
            "benchmarks.stock_faust", ["worker", "--without-web"], self._env(topics.prefix), self._log
        )

    def _env(self, prefix: str, **settings: str) -> dict[str, str]:
        name = f"bench_{uuid.uuid4().hex[:10]}"
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        url = self._maintenance.rpartition("/")[0] + "/" + name
        migrate_up(url)
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "DATABASE_URL": url,
            "TOPIC_PREFIX": prefix,
            "TOPIC_PARTITIONS": str(fill.PARTITIONS),
            "KAFKA_GROUP": name,
            "WEB_PORT": str(self._port()),
            "LOG_LEVEL": "WARNING",
            **settings,
        }

    @staticmethod
    def _port() -> int:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return int(s.getsockname()[1])

    def live(self) -> Figure:
        """Return the cost of a worker that follows a live feed."""
        empty = asyncio.run(fill.bulk(self.bootstrap, 1))
        with self.worker(empty) as worker:
            return asyncio.run(self._follow(worker, empty))

    async def _follow(self, worker: Contender, topics: Filled) -> Figure:
        stop = asyncio.Event()
        feed = asyncio.create_task(fill.live(self.bootstrap, topics.prefix, LIVE_RATE, 120.0, stop))
        try:
            await asyncio.to_thread(worker.until, lambda: worker.stored() > topics.records + LIVE_RATE)
            await asyncio.sleep(LIVE_WARM_S)
            began, first, cpu = time.monotonic(), worker.stored(), worker.cpu_s()
            await asyncio.sleep(LIVE_S)
            took, done, used = time.monotonic() - began, worker.stored() - first, worker.cpu_s() - cpu
        finally:
            stop.set()
            await feed
        return Figure(done / took, used / done * 1e6, worker.rss_mib())


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--stock-trades", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="Write the figures here, too.")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        stack.enter_context(silenced("aiokafka"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapeflow-bench-")))
        folder.chmod(0o711)
        bench = Bench(*services(stack, folder), folder)
        say("filling topics")
        clean = asyncio.run(fill.bulk(bench.bootstrap, options.trades))
        dirty = asyncio.run(fill.bulk(bench.bootstrap, options.trades, poison_every=100))
        few = asyncio.run(fill.bulk(bench.bootstrap, options.stock_trades))
        runs: dict[str, list[Figure]] = {"worker": [], "bare": [], "poison": [], "stock": []}
        for n in range(options.runs):
            for name, contender, topics in (
                ("worker", bench.worker(clean), clean),
                ("bare", bench.bare(clean), clean),
                ("poison", bench.worker(dirty), dirty),
            ):
                with contender:
                    runs[name].append(contender.bulk(topics.records))
                say(f"run {n + 1}: {name:<7} {runs[name][-1].line()}")
        with bench.stock(few) as contender:
            # it stores by the thousand: the last ones stay where they are
            runs["stock"].append(contender.bulk(few.records - 1_000))
        say(f"       stock   {runs['stock'][-1].line()}")
        live = bench.live()
        say(f"       live    {live.line()}")
    return _report(runs, live, options.json)


def _report(runs: dict[str, list[Figure]], live: Figure, path: Path | None) -> int:
    worker, bare, poison, stock = (middle(runs[name]) for name in ("worker", "bare", "poison", "stock"))
    core = live.cpu_us * live.records_per_s / 1e6 * 100
    bounds = [
        Bound(
            "worker against the bare loop, records/s",
            worker.records_per_s / bare.records_per_s,
            0.9,
            at_least=True,
        ),
        Bound(
            "worker against the bare loop, CPU per record", bare.cpu_us / worker.cpu_us, 0.9, at_least=True
        ),
        Bound(
            "worker against stock Faust, records/s",
            worker.records_per_s / stock.records_per_s,
            25,
            at_least=True,
        ),
        Bound("CPU per trade in bulk, us", worker.cpu_us, 5.0, at_least=False),
        Bound("CPU per record in bulk with 1 % poison, us", poison.cpu_us, 5.0, at_least=False),
        Bound(f"CPU at {LIVE_RATE:,} trades/s live, % of a core", core, 20.0, at_least=False),
    ]
    figures = {"worker": worker, "bare": bare, "poison": poison, "stock": stock, "live": live}
    print(f"\n{'':<10}{'records/s':>12}{'us CPU/record':>16}{'RSS MiB':>10}")
    for name, figure in figures.items():
        print(f"{name:<10}{figure.records_per_s:>12,.0f}{figure.cpu_us:>16.2f}{figure.rss_mib:>10.0f}")
    print()
    for bound in bounds:
        print(bound.line())
    here = machine()
    print("\n" + ", ".join(f"{name} {value}" for name, value in here.items()))
    if path is not None:
        document: dict[str, Any] = {
            "machine": here,
            "figures": {name: figure.__getstate__() for name, figure in figures.items()},
            "bounds": [bound._asdict() | {"kept": bound.kept} for bound in bounds],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(bound.kept for bound in bounds) else 1


def machine() -> dict[str, str]:
    """Return what it was measured on."""
    return {
        "Python": platform.python_version(),
        "cores": str(os.cpu_count()),
        **{name: version(name) for name in PACKAGES},
    }


def say(line: str) -> None:
    """Tell how far it is: on stderr, results go to stdout."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
