"""Real workers on a real broker and database: start, disturb, read everything back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

from migrations.runner import migrate_up
from schemas.trade import Trade
from streams import topics
from streams.settings import Settings
from tests.acceptance.sampler import Sampler
from tests.invariants import Message, Outcome, violations
from tests.oracle import Input, Truth, work_out
from tests.poison import Headers

ROOT = Path(__file__).parents[2]
PARTITIONS = 8
#: a worker that takes longer to end after SIGTERM hangs
GRACE_S = 30.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_until(condition: Callable[[], Any], timeout: float, what: str) -> Any:
    """Poll until the condition is truthy and return it; fail with what was waited for."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.05)
    return value


class Rig:
    """Fresh topics, a fresh database, and the workers of one test."""

    def __init__(
        self, bootstrap: str, database_url: str, folder: Path, partitions: int = PARTITIONS, **settings: Any
    ) -> None:
        self.bootstrap, self.database_url, self.folder = bootstrap, database_url, folder
        self.prefix = f"t{uuid.uuid4().hex[:10]}."
        self.group = f"{self.prefix}workers"
        self.partitions = partitions
        self.env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "DATABASE_URL": database_url,
            "TOPIC_PREFIX": self.prefix,
            "KAFKA_GROUP": self.group,
            "TOPIC_PARTITIONS": str(partitions),
            "LOG_LEVEL": "WARNING",
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self.logs: list[Path] = []
        self._producers: list[subprocess.Popen[bytes]] = []
        migrate_up(database_url)

    async def prepare(self) -> Rig:
        """Create the topics."""
        await topics.apply(self.bootstrap, prefix=self.prefix, partitions=self.partitions)
        return self

    @property
    def source(self) -> str:
        """The input topic of this rig's workers."""
        return self.trades

    @property
    def trades(self) -> str:
        return f"{self.prefix}md.trades.v1"

    @property
    def candles(self) -> str:
        return f"{self.prefix}md.candles.v1"

    @property
    def dlq(self) -> str:
        return f"{self.prefix}md.dlq.v1"

    def start(
        self, name: str, fault: str = "", *, command: Sequence[str] = ("ops.cli", "worker"), **settings: Any
    ) -> None:
        """Start a worker; ``fault`` as tests/acceptance/faulty_worker.py takes it, else ``command``."""
        log = self.folder / f"{name}-{len(self.logs)}.log"
        self.logs.append(log)
        self.ports[name] = free_port()
        env = {
            **self.env,
            "WORKER_ID": name,
            "WEB_PORT": str(self.ports[name]),
            "FAULT": fault,
            **{k.upper(): str(v) for k, v in settings.items()},
        }
        if fault:
            command = ["tests.acceptance.faulty_worker"]
        with log.open("wb") as out:
            # in a folder of the test's own: its settings files are there, and no developer's
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-m", *command], env=env, cwd=self.folder, stdout=out, stderr=out
            )

    def tell(self, name: str, sig: signal.Signals) -> None:
        """Send a signal to a worker."""
        self.workers[name].send_signal(sig)

    def end(
        self, name: str, sig: signal.Signals = signal.SIGTERM, timeout: float = GRACE_S
    ) -> tuple[int, float]:
        """End a worker; return its exit code and the seconds it took."""
        process, begun = self.workers.pop(name), time.monotonic()
        process.send_signal(sig)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"{name} did not end within {timeout} s of {sig.name}:\n{self.log_tail()}"
            ) from None
        return code, time.monotonic() - begun

    def kill(self, name: str) -> None:
        """kill -9 a worker."""
        assert self.end(name, signal.SIGKILL)[0] == -signal.SIGKILL

    def wait_ended(self, name: str, timeout: float) -> int:
        """Wait for a worker that was told to end, and return its exit code."""
        try:
            return self.workers[name].wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} did not end within {timeout} s:\n{self.log_tail()}") from None
        finally:
            if self.workers[name].poll() is not None:
                del self.workers[name]

    def produce(self, path: Path, rate: float = 0) -> None:
        """Start to produce a file of tests/market.py; ``rate`` records a second, 0: as fast as it goes."""
        self.run_producer("tests.acceptance.producer", str(path), self.bootstrap, self.trades, str(rate))

    def run_producer(self, module: str, *args: str) -> None:
        """Start a program that produces into this rig's topics and ends by itself."""
        self._producers.append(subprocess.Popen([sys.executable, "-m", module, *args], env=self.env))

    def wait_produced(self, timeout: float = 300) -> None:
        """Wait until the broker has every record of what is being produced."""
        for process in self._producers:
            assert process.wait(timeout) == 0, "the producer failed"
        self._producers.clear()

    def end_offset(self) -> int:
        """Records in the input topic."""
        return sum(self.ends(self.source).values())

    def ends(self, topic: str, partitions: int | None = None) -> dict[int, int]:
        """End of each partition of a topic; of the tick topics' number of partitions unless it is given."""
        consumer = self._reader()
        try:
            bounds = {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
                for p in range(partitions or self.partitions)
            }
        finally:
            consumer.close()
        assert all(low == 0 for low, _ in bounds.values())
        return {p: high for p, (_, high) in bounds.items()}

    def send_trades(self, trades: Iterable[Trade]) -> None:
        """Produce a few trades, keyed by symbol, and wait for the broker."""
        self.send((t.symbol.encode(), msgspec.json.encode(t), ()) for t in trades)

    def send(self, records: Iterable[tuple[bytes | None, bytes | None, Headers]]) -> None:
        """Produce a few records (key, value, headers), and wait for the broker."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "partitioner": "murmur2"})
        for key, value, headers in records:
            producer.produce(self.source, value, key=key, headers=list(headers))
        assert producer.flush(30) == 0

    def query(self, sql: str, *args: Any) -> list[Any]:
        """Ask the database."""
        with psycopg.connect(self.database_url, connect_timeout=3) as connection:
            return connection.execute(sql, args).fetchall()

    def stored(self) -> int:
        """Records below the stored positions; -1 while the database is away."""
        try:
            rows = self.query(
                "select coalesce(sum(next_offset), 0)::int8 from sink_offsets where topic = %s", self.source
            )
        except psycopg.OperationalError:
            return -1
        return int(rows[0][0])

    def wait_stored(self, count: int, timeout: float) -> None:
        """Wait until so many records are stored, while every worker lives."""

        def done() -> bool:
            for name, process in self.workers.items():
                assert process.poll() is None, f"{name} ended with {process.poll()}:\n{self.log_tail()}"
            return self.stored() >= count

        wait_until(done, timeout, f"{count} records stored")

    def table(self) -> list[dict[str, Any]]:
        """All rows of candles_intraday; ``ts`` in nanoseconds."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute(
                "select symbol, interval, (extract(epoch from ts))::int8 * 1000000000 as ts, o, h, l, c, v, "
                "vwap, trade_count, provider, feed, coverage, adjustment, rule, provider_rank, revision, "
                "is_final, as_of from candles_intraday"
            )
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def records(self, topic: str, partitions: int | None = None) -> list[Any]:
        """Every message of a topic, partition by partition, in order."""
        return list(self.each(topic, partitions))

    def each(self, topic: str, partitions: int | None = None) -> Iterator[Any]:
        """Yield every message of a topic, as `records` returns them."""
        ends = {p: end for p, end in self.ends(topic, partitions).items() if end}
        consumer = self._reader()
        consumer.assign([TopicPartition(topic, p, 0) for p in ends])
        deadline = time.monotonic() + 120
        while ends:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            batch = consumer.consume(10_000, 1.0)
            if batch:
                deadline = time.monotonic() + 120
            for m in batch:
                assert m.error() is None, m.error()
                yield m
                partition, offset = m.partition(), m.offset()
                assert partition is not None
                assert offset is not None
                if offset + 1 >= ends.get(partition, 1 << 62):
                    del ends[partition]
        consumer.close()

    def _reader(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"{self.prefix}reader",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )

    def truth(self) -> Truth:
        """What must have come out, from the records of the input topic."""
        settings = Settings()
        inputs = (
            Input(m.partition(), m.offset(), m.key(), m.value(), tuple(m.headers() or ()), m.timestamp()[1])
            for m in self.records(self.trades)
        )
        return work_out(inputs, settings.lateness_ms * 1_000_000, settings.horizon_s * 1_000_000_000)

    def verify(self, sampler: Sampler) -> Truth:
        """Compare table, topics and positions with the oracle, once everything is stored."""
        truth = self.truth()
        outcome = Outcome(
            self.table(),
            [_message(m) for m in self.records(self.candles)],
            [_message(m) for m in self.records(self.dlq)],
            sampler.positions,
            dict(self.query("select part, next_offset from sink_offsets where topic = %s", self.trades)),
            self.ends(self.trades),
        )
        assert sampler.positions
        found = violations(truth, outcome, topic=self.trades, group=self.group)
        repeats = len(outcome.candles) - len({m.header("id") for m in outcome.candles})
        print(
            f"{truth.trades:,} trades, {len(truth.versions):,} versions of bars, {len(truth.dead):,} dead "
            f"letters, {repeats:,} repeats on the topic, {len(sampler.positions):,} samples, "
            f"{len(found)} violations"
        )
        assert not found, "\n".join(found)
        return truth

    def get(self, name: str, path: str, accept: str = "application/json") -> tuple[int, str]:
        """Ask a worker's web server; (0, reason) when it does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[name]}{path}", headers={"Accept": accept}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()
        except OSError as exc:
            return 0, str(exc)

    def post(self, name: str, path: str, body: Any = None, token: str = "") -> tuple[int, dict[str, Any]]:
        """Ask a worker to change something."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[name]}{path}",
            data=json.dumps(body).encode() if body is not None else b"",
            method="POST",
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as exc:
            return exc.code, json.loads(exc.read())

    def answers(self, name: str) -> bool:
        """Whether a worker's web server is there yet."""
        return self.get(name, "/livez")[0] == 200

    def ready(self, name: str) -> bool:
        """Whether a worker says that it is ready."""
        return self.get(name, "/readyz")[0] == 200

    def wait_ready(self, *names: str, timeout: float = 60) -> None:
        """Wait until workers say that they are ready."""
        for name in names:
            wait_until(partial(self.ready, name), timeout, f"{name} is ready\n{self.log_tail()}")

    def held(self, name: str) -> list[dict[str, Any]]:
        """What a worker's page says of its partitions of the input topic."""
        return [p for p in self.status(name)["partitions"] if p["topic"] == self.source]

    def wait_holding(self, name: str, partitions: int, timeout: float = 60) -> None:
        """Wait until a worker says that it has so many partitions."""

        def holding() -> bool:
            return self.answers(name) and len(self.held(name)) == partitions

        wait_until(holding, timeout, f"{name} has {partitions} partitions\n{self.log_tail()}")

    def status(self, name: str) -> dict[str, Any]:
        """The worker's status page as JSON."""
        code, body = self.get(name, "/")
        assert code == 200, body
        return dict(json.loads(body))

    def log_tail(self, lines: int = 30) -> str:
        """The ends of all logs, for failure messages."""
        return "\n".join(
            f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
            for log in self.logs
        )

    def close(self) -> None:
        """End everything that this rig started."""
        for process in [*self.workers.values(), *self._producers]:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def _message(m: Any) -> Message:
    return Message(m.partition(), m.key(), m.value(), tuple(m.headers() or ()))
