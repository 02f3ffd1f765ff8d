"""``tapeflow demo``, as a newcomer runs it: candles, an account of every trade, and nothing left behind."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer

from sandbox.account import temporary_folder
from sandbox.demo.ending import ECHO_S
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.mock_broker import KEEPS_BYTES
from sandbox.process import start_mark
from schemas.topics import TRADES
from tests.acceptance.rig import wait_until

pytestmark = pytest.mark.acceptance

PATIENCE_S = 90.0
#: whatever this user has configured must not reach into the demo
HOSTILE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/production",
    "TOPIC_PREFIX": "production.",
    "TOPIC_PARTITIONS": "5",
    "OPS_TOKEN": "a-token",
    "LATENESS_MS": "600000",
    "HORIZON_S": "0",
}
ACCOUNT = re.compile(r"every trade accounted for: ([\d,]+) sent = ([\d,]+) stored \+ ([\d,]+) dead-lettered")


class Run:
    """One demo, its output line by line, and the processes that it started."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.lines: list[str] = []
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "demo", *arguments],
            env={**os.environ, **HOSTILE, "TMPDIR": str(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # a signal to its group reaches what a terminal's Ctrl-C would reach
            start_new_session=True,
        )
        self.marks: dict[int, str] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._arrived.put(line.rstrip("\n"))
        self._arrived.put(None)

    def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line; look at the family while waiting."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < deadline, f"no line like {pattern!r} in:\n{self.text}"
            self.look()
            try:
                line = self._arrived.get(timeout=0.1)
            except queue.Empty:
                continue
            assert line is not None, f"it ended without a line like {pattern!r}:\n{self.text}"
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    def end(self) -> int:
        """Wait until it has ended; return its exit code."""
        code = self.process.wait(PATIENCE_S)
        while (line := self._arrived.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
        return code

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def look(self) -> dict[int, str]:
        """Note every descendant, by number and start; return number -> command line."""
        family = {pid: command for pid, command in descendants(self.process.pid).items() if start_mark(pid)}
        self.marks |= {pid: str(start_mark(pid)) for pid in family}
        return family

    @property
    def left(self) -> list[int]:
        """Descendants that still run."""
        return [pid for pid, mark in self.marks.items() if start_mark(pid) == mark]

    def close(self) -> None:
        """Kill what is left, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in self.left:
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> dict[int, str]:
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [line.split(None, 2) for line in listed]
    family: dict[int, str] = {}
    parents = {pid}
    while parents:
        found = {int(row[0]): row[2] for row in rows if int(row[1]) in parents}
        family |= found
        parents = set(found)
    return family


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files; the account that the database runs as may enter it."""
    made = temporary_folder("tapeflow-tests-")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*arguments: str, **environment: str) -> Run:
        runs.append(Run(folder, *arguments, **environment))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def numbers(found: re.Match[str] | None) -> list[int]:
    assert found is not None
    return [int(group.replace(",", "")) for group in found.groups()]


def test_it_shows_candles_accounts_for_every_trade_and_leaves_nothing(
    start: Callable[..., Run], folder: Path
) -> None:
    run = start(DEMO_SECONDS="15")
    url = run.line(r"status page: (http://127\.0\.0\.1:\d+/)")[1]
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers.get_content_type() == "text/html"
        assert "tapeflow" in answer.read().decode()
    assert float(run.line(r"first candle after ([\d.]+) s")[1]) < 15
    run.line(
        r"SIM\d\d \d{4}-\d\d-\d\d \d\d:\d\d UTC  o [\d.,]+ .* trades [\d,]+  revision \d+  (final|revised)"
    )
    family = run.look().values()
    assert any("ops.cli worker" in command for command in family)
    assert any("postgres" in command for command in family)
    assert list(folder.iterdir())

    assert run.end() == 0, run.text
    sent, stored, dead = numbers(ACCOUNT.search(run.text))
    assert sent == stored + dead
    assert stored > 2_000
    # one in a thousand
    assert dead == sent // 1_000
    assert re.search(r"all [1-9][\d,]* candles equal a second, independent fold", run.text)
    assert not run.left
    assert not list(folder.iterdir())
    # no control characters where there is no terminal
    assert run.text.isprintable() or set(filter(lambda c: not c.isprintable(), run.text)) == {"\n"}


def test_ctrl_c_stores_everything_and_keeps_the_database_where_it_was_asked_to(
    start: Callable[..., Run], folder: Path
) -> None:
    kept = folder / "kept"
    run = start("--keep", str(kept), "--rate", "800")
    run.line(r"first candle after")
    run.line(r"dead letters [1-9]")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.end() == 0, run.text
    sent, stored, dead = numbers(ACCOUNT.search(run.text))
    assert sent == stored + dead
    assert not run.left
    assert [file.name for file in folder.iterdir()] == ["kept"]
    with EmbeddedPostgres(kept / "postgres") as postgres, psycopg.connect(postgres.url) as connection:
        found = connection.execute(
            "select sum(trade_count)::int8, bool_and(is_final), count(distinct symbol) from candles_intraday"
        ).fetchone()
        assert found is not None
        assert found[:2] == (stored, True)
        assert found[2] > 40
    again = start("--keep", str(kept))
    assert again.end() == 3
    assert "is not empty" in again.text


def test_sigterm_ends_it_in_order_and_is_told_by_the_exit_code(
    start: Callable[..., Run], folder: Path
) -> None:
    run = start()
    run.line(r"first candle after")
    run.process.terminate()
    assert run.end() == 143, run.text
    assert ACCOUNT.search(run.text)
    assert not run.left
    assert not list(folder.iterdir())


@pytest.mark.parametrize("after", ["tapeflow demo", "database:", "broker:", "first candle"])
def test_two_ctrl_c_end_it_at_once_wherever_it_is(
    start: Callable[..., Run], folder: Path, after: str
) -> None:
    run = start()
    run.line(after)
    os.killpg(run.process.pid, signal.SIGINT)
    run.line("Ctrl-C again ends at once|ended at once")
    # no person is faster
    time.sleep(2 * ECHO_S)
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGINT)
    # the second may come when it has ended and Python alone is still there: that is 130 for a shell, too
    assert run.end() in {130, -signal.SIGINT}, run.text
    assert "ended at once; nothing is left running" in run.text
    assert not run.left
    assert not list(folder.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ties a child to its parent's death")
@pytest.mark.parametrize("after", ["broker:", "first candle"])
def test_killed_it_takes_everything_with_it(start: Callable[..., Run], after: str) -> None:
    run = start()
    run.line(after)
    wait_until(lambda: any("worker" in command for command in run.look().values()), PATIENCE_S, "a worker")
    run.process.kill()
    run.process.wait()
    assert len(run.marks) > 2
    wait_until(lambda: not run.left, PATIENCE_S, "no process outlives the demo")


def test_when_the_worker_dies_it_says_so_with_its_log_and_ends(
    start: Callable[..., Run], folder: Path
) -> None:
    run = start()
    run.line(r"first candle after")
    (worker,) = [pid for pid, command in run.look().items() if "ops.cli worker" in command]
    os.kill(worker, signal.SIGKILL)
    assert run.end() == 1, run.text
    assert "the worker ended by itself with exit code -9" in run.text
    assert "Worker ready" in run.text
    assert "Traceback" not in run.text
    assert not run.left
    assert not list(folder.iterdir())


def test_what_the_broker_dropped_unread_is_not_passed_over(start: Callable[..., Run]) -> None:
    run = start()
    bootstrap = run.line(r"It listens at (127\.0\.0\.1:\d+)")[1]
    run.line(r"first candle after")
    (worker,) = [pid for pid, command in run.look().items() if "ops.cli worker" in command]
    os.kill(worker, signal.SIGSTOP)
    # pushes out what is in these partitions and was not read
    producer = Producer({"bootstrap.servers": bootstrap})
    for _ in range(8):
        for partition in range(TRADES.partitions):
            producer.produce(TRADES.name, b"x" * (KEEPS_BYTES // 6), partition=partition)
        assert producer.flush(PATIENCE_S) == 0
    run.line(r"LOST: the broker dropped [1-9][\d,]* records that were not stored yet")
    os.kill(worker, signal.SIGCONT)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 1, run.text
    assert "accounted for" not in run.text
    assert not run.left


def test_a_missing_package_is_named_in_one_sentence(start: Callable[..., Run], tmp_path: Path) -> None:
    # as if it had not been installed
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Hiding(PathFinder):\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        return None if name == 'confluent_kafka' else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding\n"
    )
    run = start(PYTHONPATH=str(tmp_path))
    assert run.end() == 4, run.text
    assert run.text == "tapeflow: the demo needs packages that are missing: pip install confluent-kafka"
