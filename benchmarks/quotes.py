"""``make bench``: what a quote costs, how fast workers are together, and how long quotes take.

Worker and bare loop decode, fold, publish, store in the same database through the same statements and commit.
Their runs alternate, so that what the machine does otherwise hits both; so do those that follow a live feed.
Figures are medians of the runs, also the shares of delays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import quotes_fill
from benchmarks.contender import Contender, Figure, middle
from benchmarks.fill import PARTITIONS, Filled
from benchmarks.quotes_feed import probes
from benchmarks.quotes_watch import Delays, Watch
from benchmarks.run import Bench, Bound, machine, say
from benchmarks.services import services
from schemas.topics import QUOTES, QUOTES_RAW
from telemetry.logs import silenced

LIVE_RATE = 5_000
FAST_RATE = 20_000
WARM_S = 8.0
LIVE_S = 20.0
MANY_SYMBOLS = 8_000


class Live(NamedTuple):
    """A worker that followed a live feed."""

    figure: Figure
    topic: Delays
    rows: Delays

    def line(self) -> str:
        """Return it for people."""
        core, topic, rows = self.core(), self.topic.share(0.99), self.rows.share(0.99)
        return f"{core:5.1f} % of a core, p99 to the topic {topic:5.1f} ms, to the row {rows:5.1f} ms"

    def core(self) -> float:
        """Return how much of a core it took, in per cent."""
        return self.figure.cpu_us * self.figure.records_per_s / 1e4


#: name -> quotes/s, whether the bare loop follows, and what is set
LIVE: dict[str, tuple[float, bool, dict[str, str]]] = {
    "5,000/s": (LIVE_RATE, False, {}),
    "5,000/s, bare loop": (LIVE_RATE, True, {}),
    "20,000/s": (FAST_RATE, False, {}),
    "20,000/s, bare loop": (FAST_RATE, True, {}),
    "20,000/s, low latency": (FAST_RATE, False, {"PROFILE": "low-latency"}),
}


def typical(runs: Sequence[Live]) -> Live:
    """Return the median of each: of delays the run whose p99 is that."""
    topics = sorted((run.topic for run in runs), key=lambda delays: delays.share(0.99))
    rows = sorted((run.rows for run in runs), key=lambda delays: delays.share(0.99))
    return Live(middle([run.figure for run in runs]), topics[len(runs) // 2], rows[len(runs) // 2])


class QuoteBench(Bench):
    """One broker, one database server, many runs."""

    def bare_quotes(self, topics: Filled) -> Contender:
        """Return the bare loop."""
        return Contender("benchmarks.bare_quotes", [], self._env(topics.prefix), self._log)

    def together(self, topics: Filled, count: int) -> float:
        """Return how many records a second so many workers of one group store."""
        env = self._env(topics.prefix)
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    Contender("ops.cli", ["worker"], env | {"WEB_PORT": str(self._port())}, self._log)
                )
                for _ in range(count)
            ]
            # from when all of them have joined, until the first partition is at its end
            workers[0].until(lambda: workers[0].stored() > topics.records * (0.1 if count > 1 else 0))
            first, began = workers[0].stored(), time.monotonic()
            workers[0].until(lambda: workers[0].stored() >= topics.records * 0.9)
            return (workers[0].stored() - first) / (time.monotonic() - began)

    def follow(self, rate: float, *, bare: bool = False, **settings: str) -> Live:
        """Return what a worker, or the bare loop, costs on a live feed, and how long its quotes take."""
        topics = asyncio.run(quotes_fill.bulk(self.bootstrap, 0))
        env = self._env(topics.prefix, **settings)
        module, arguments = ("benchmarks.bare_quotes", []) if bare else ("ops.cli", ["worker"])
        feed = self._feed(topics, rate, quotes_fill.SYMBOLS)
        with Contender(module, arguments, env, self._log) as worker, feed:
            worker.until(lambda: worker.stored() > rate)
            time.sleep(WARM_S)
            with Watch(
                self.bootstrap,
                topics.prefix + QUOTES.name,
                env["DATABASE_URL"],
                PARTITIONS,
                probes(PARTITIONS),
            ) as watch:
                began, first, cpu = time.monotonic(), worker.stored(), worker.cpu_s()
                time.sleep(LIVE_S)
                took, done, used = time.monotonic() - began, worker.stored() - first, worker.cpu_s() - cpu
            return Live(Figure(done / took, used / done * 1e6, worker.rss_mib()), *watch.delays())

    def alone(self, rate: float) -> Delays:
        """Return how long raw quotes take to their topic: what feed and broker cost."""
        topics = asyncio.run(quotes_fill.bulk(self.bootstrap, 0))
        url, raw = self._env(topics.prefix)["DATABASE_URL"], topics.prefix + QUOTES_RAW.name
        with self._feed(topics, rate, quotes_fill.SYMBOLS):
            time.sleep(WARM_S)
            with Watch(self.bootstrap, raw, url, PARTITIONS, probes(PARTITIONS)) as watch:
                time.sleep(LIVE_S)
            return watch.delays()[0]

    def memory(self, seconds: float) -> tuple[float, float]:
        """Return the peak memory with many symbols, and its growth after a third of the time, in MiB."""
        topics = asyncio.run(quotes_fill.bulk(self.bootstrap, 0))
        env = self._env(topics.prefix)
        feed = self._feed(topics, LIVE_RATE, MANY_SYMBOLS)
        with Contender("ops.cli", ["worker"], env, self._log) as worker, feed:
            worker.until(lambda: worker.stored() > LIVE_RATE)
            time.sleep(seconds / 3)
            warm = worker.rss_now_mib()
            time.sleep(seconds * 2 / 3)
            return worker.rss_mib(), worker.rss_now_mib() - warm

    @contextmanager
    def _feed(self, topics: Filled, rate: float, symbols: int) -> Iterator[None]:
        command = [
            sys.executable,
            "-m",
            "benchmarks.quotes_feed",
            self.bootstrap,
            topics.prefix + QUOTES_RAW.name,
        ]
        feed = subprocess.Popen([*command, str(rate), str(symbols)])
        try:
            yield
            if feed.poll() is not None:
                raise SystemExit(f"the feed ended with {feed.returncode}")
        finally:
            feed.terminate()
            feed.wait()


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quotes", description=__doc__)
    parser.add_argument("--quotes", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4], help="Groups of so many.")
    parser.add_argument(
        "--memory-s", type=float, default=60.0, help="How long to watch memory; 600 to be sure."
    )
    parser.add_argument("--json", type=Path, help="Write the figures here, too.")
    options = parser.parse_args(arguments)
    runs: dict[str, list[Figure]] = {"worker": [], "bare": []}
    with ExitStack() as stack:
        stack.enter_context(silenced("aiokafka"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapeflow-bench-")))
        folder.chmod(0o711)
        bench = QuoteBench(*services(stack, folder), folder)
        say("filling topics")
        topics = asyncio.run(quotes_fill.bulk(bench.bootstrap, options.quotes))
        for n in range(options.runs):
            for name, contender in (
                ("worker", bench.worker(topics)),
                ("bare", bench.bare_quotes(topics)),
            ):
                with contender:
                    runs[name].append(contender.bulk(topics.records))
                say(f"run {n + 1}: {name:<7} {runs[name][-1].line()}")
        together = {count: bench.together(topics, count) for count in options.workers}
        alone = bench.alone(FAST_RATE)
        followed: dict[str, list[Live]] = {name: [] for name in LIVE}
        for n in range(options.runs):
            for name, (rate, bare, settings) in LIVE.items():
                followed[name].append(bench.follow(rate, bare=bare, **settings))
                say(f"run {n + 1}: {name:<21} {followed[name][-1].line()}")
        live = {name: typical(each) for name, each in followed.items()}
        peak, growth = bench.memory(options.memory_s) if options.memory_s else (0.0, 0.0)
    figures = {name: middle(each) for name, each in runs.items()} | {
        name: each.figure for name, each in live.items()
    }
    print(f"\n{'':<24}{'quotes/s':>12}{'us CPU/quote':>16}{'RSS MiB':>10}")
    for name, figure in figures.items():
        print(f"{name:<24}{figure.records_per_s:>12,.0f}{figure.cpu_us:>16.2f}{figure.rss_mib:>10.0f}")
    print(f"\nworkers of one group on {os.cpu_count()} cores, broker and database beside them:")
    for count, rate in together.items():
        print(f"  {count}: {rate:>10,.0f} quotes/s")
    print("\n20,000/s, without a worker, to the raw topic")
    print("\n".join(alone.lines()))
    for name, each in live.items():
        print(f"\n{name}")
        print("\n".join([*each.topic.lines(), *each.rows.lines()]))
    bounds = list(_bounds(figures, live, peak, growth))
    print()
    for bound in bounds:
        print(bound.line())
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine().items()))
    if options.json is not None:
        document: dict[str, Any] = {
            "machine": machine(),
            "figures": {name: figure.__getstate__() for name, figure in figures.items()},
            "workers": together,
            "bounds": [bound._asdict() | {"kept": bound.kept} for bound in bounds],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(bound.kept for bound in bounds) else 1


def _bounds(figures: dict[str, Figure], live: dict[str, Live], peak: float, growth: float) -> Iterator[Bound]:
    worker, bare = figures["worker"], figures["bare"]
    fast, quick = live["20,000/s"], live["20,000/s, low latency"]
    yield Bound("CPU per quote in bulk, us", worker.cpu_us, 8.0, at_least=False)
    yield Bound(
        "against the bare loop, quotes/s", worker.records_per_s / bare.records_per_s, 0.9, at_least=True
    )
    yield Bound("against the bare loop, CPU per quote", bare.cpu_us / worker.cpu_us, 0.9, at_least=True)
    yield Bound("CPU at 5,000 quotes/s live, % of a core", live["5,000/s"].core(), 20.0, at_least=False)
    yield Bound("to the topic at 20,000/s, p99 ms", fast.topic.share(0.99), 50.0, at_least=False)
    yield Bound("to the topic, low latency, p99 ms", quick.topic.share(0.99), 25.0, at_least=False)
    yield Bound("to the row at 20,000/s, p99 ms", fast.rows.share(0.99), 250.0, at_least=False)
    if peak:
        yield Bound(f"memory with {MANY_SYMBOLS:,} symbols, MiB", peak, 400.0, at_least=False)
        yield Bound("its growth after warm-up, MiB", growth, 10.0, at_least=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
