"""Raw quotes through two workers that are killed, to a consumer that is killed; then all is compared."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter, defaultdict
from itertools import groupby
from pathlib import Path

from domain.clock import SystemClock
from tests.acceptance.conftest import RigFactory
from tests.acceptance.quotes import QuoteRig
from tests.acceptance.rig import ROOT, wait_until
from tests.acceptance.sampler import Sampler
from tests.quote_oracle import QuoteTruth
from tests.quotes_market import QuotesMarket

QUOTES = int(os.environ.get("TAPEFLOW_TEST_QUOTES", "200000"))
SEED = int(os.environ.get("TAPEFLOW_TEST_SEED", "20261125"))
RATE = 20_000
KILLS = 3
READER_KILLS = 20
#: about so long is a line of the consumer's file
LINE_BYTES = 22
#: short, so that a dead worker's partitions move soon
QUICK = {"session_timeout_s": 4, "rebalance_timeout_s": 6, "database_budget_s": 5}
CATCH_UP_S = 120 + QUOTES / 5_000


class Reader:
    """A consumer in a process of its own that is killed again and again; use it as a context manager."""

    def __init__(self, rig: QuoteRig, draw: random.Random, path: Path) -> None:
        self._path = path
        # on the average half of the stream is read when it is killed for the last time
        self._portions = [draw.random() * QUOTES / READER_KILLS for _ in range(READER_KILLS)]
        module = "tests.acceptance.quote_reader"
        group = f"{rig.prefix}consumer"
        self._command = [sys.executable, "-m", module, rig.bootstrap, rig.stream, str(rig.partitions), group]
        self._thread = threading.Thread(target=self._run, name="reader")
        self._error: BaseException | None = None
        self.kills: list[int] = []
        """Bytes that it had written when it was killed."""

    def __enter__(self) -> Reader:
        self._path.touch()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for portion in self._portions:
                self._read(round(portion * LINE_BYTES))
        except BaseException as exc:  # noqa: BLE001 - raised again where the test can see it
            self._error = exc

    def _read(self, portion: int) -> None:
        enough = self._path.stat().st_size + portion
        process = subprocess.Popen([*self._command, str(self._path)], cwd=ROOT)
        try:
            wait_until(lambda: self._path.stat().st_size > enough, CATCH_UP_S, "the consumer gets more")
        finally:
            process.kill()
            process.wait()
        self.kills.append(self._path.stat().st_size)

    def finish(self) -> dict[int, dict[str, int]]:
        """Let it read to the end; return by partition what it got, in order: id and checksum.

        Repeats are dropped by their ids, as a consumer does.
        """
        subprocess.run([*self._command, str(self._path), "end"], cwd=ROOT, check=True, timeout=120)
        got: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for line in self._path.read_text().splitlines():
            partition, name, crc = line.split("\t")
            assert got[int(partition)].setdefault(name, int(crc)) == int(crc), f"{name} came twice, differing"
        return got


def passes(rig: QuoteRig, count: float) -> None:
    """Wait until so many records are stored, whoever lives."""
    wait_until(lambda: rig.stored() >= count, CATCH_UP_S, f"{count:,.0f} records stored\n{rig.log_tail()}")


def test_workers_and_a_consumer_are_killed(make_rig: RigFactory, tmp_path: Path) -> None:
    print(f"seed {SEED}, {QUOTES:,} quotes")
    draw = random.Random(SEED)
    market = QuotesMarket(QUOTES, rate=RATE, seed=SEED)
    rig = make_rig(QuoteRig, **QUICK)
    assert isinstance(rig, QuoteRig)
    rig.start("w1")
    rig.start("w2")
    rig.wait_ready("w1", "w2")
    rig.produce_quotes(market)
    with Sampler(rig) as sampler, Reader(rig, draw, tmp_path / "got") as reader:
        for n in range(KILLS):
            passes(rig, QUOTES * (n + draw.uniform(0.2, 1.0)) / (KILLS + 1))
            victim = draw.choice(sorted(rig.workers))
            rig.kill(victim)
            # the others' partitions go on meanwhile; the dead one comes back at any moment of that
            passes(rig, min(rig.stored() + draw.randrange(1, 10_000), QUOTES * (n + 1) // (KILLS + 1)))
            rig.start(victim)
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), CATCH_UP_S)
        truth = rig.quote_truth()
        rig.wait_shown(truth)
        rig.wait_ready(*rig.workers)  # the last one may have been started a moment ago
        for name in list(rig.workers):
            assert rig.end(name)[0] == 0, rig.log_tail()
    # to the survivor, and back to the one that was started
    rig.verify_quotes(sampler, truth, handovers=2 * KILLS)
    assert truth.duplicates > QUOTES * 0.005
    consumed(rig, reader, truth)


def test_a_worker_is_killed_where_it_hurts(make_rig: RigFactory) -> None:
    market = QuotesMarket(60_000, rate=RATE, seed=SEED + 1, every_poison=False)
    # of one name in its group: its successor need not wait until it is missed
    rig = make_rig(QuoteRig, group_instance_id="w1", faulty="quotes")
    assert isinstance(rig, QuoteRig)
    rig.produce_quotes(market)
    with Sampler(rig) as sampler:
        for nth, point in enumerate(("after_produce", "before_commit", "after_commit", "before_latest"), 2):
            rig.start("w1", fault=f"{point}:{nth}", flush_records=2_000, chunk_max_records=1_000)
            assert rig.wait_ended("w1", 90) == -signal.SIGKILL, f"did not reach {point}\n{rig.log_tail()}"
        rig.wait_produced()
        assert rig.stored() < rig.end_offset(), "it had nothing left to do"
        rig.start("w1")
        rig.wait_stored(rig.end_offset(), CATCH_UP_S)
        truth = rig.quote_truth()
        rig.wait_shown(truth)
        assert rig.end("w1")[0] == 0
    rig.verify_quotes(sampler, truth, handovers=4)


def consumed(rig: QuoteRig, reader: Reader, truth: QuoteTruth) -> None:
    """Compare what the consumer got with what it must have got."""
    got = reader.finish()
    expected = {p: [out.id for out in outs] for p, outs in truth.emitted.items()}
    size = sum(map(len, expected.values()))
    print(f"a consumer of {size:,} was killed when it had written {reader.kills} bytes, lines of about 22")
    assert len(reader.kills) == READER_KILLS
    assert {p: list(names) for p, names in got.items()} == expected
    sums = {
        (m.partition(), dict(m.headers())["id"].decode()): zlib.crc32(m.value())
        for m in rig.records(rig.stream)
    }
    assert {(p, name): crc for p, names in got.items() for name, crc in names.items()} == sums


def test_a_symbol_of_two_vendors(make_rig: RigFactory) -> None:
    """Both are kept; the view shows the better one while it speaks, and never goes back in time."""
    rig = make_rig(QuoteRig, partitions=2)
    assert isinstance(rig, QuoteRig)
    rig.start("w1")
    rig.wait_ready("w1")
    with Sampler(rig) as sampler:
        for _ in range(10):
            say(rig, "polygon")
            say(rig, "alpaca")
            time.sleep(0.05)
        silent = time.monotonic()
        while time.monotonic() - silent < 5.5:
            say(rig, "alpaca")
            time.sleep(0.1)
        say(rig, "polygon", ago_ns=3_000_000_000)  # it is back, with what is old by now
        say(rig, "alpaca")
        say(rig, "polygon")
        rig.wait_stored(rig.end_offset(), 30)
        truth = rig.quote_truth()
        rig.wait_shown(truth)
        (_, body), last = rig.get("w1", "/quotes/TWO"), len(rig.rows())
    rig.verify_quotes(sampler, truth)
    shown = [json.loads(m.value())["provider"] for m in rig.records(rig.latest)]
    assert [provider for provider, _ in groupby(shown)] == ["polygon", "alpaca", "polygon"]
    kept = Counter(row["provider"] for row in rig.rows())
    assert kept == Counter(quote.provider for quote in truth.quotes.values())
    assert kept["polygon"] == 12
    assert json.loads(body)["n"] == last
    assert rig.query("select symbol, n, provider from latest_quotes") == [("TWO", last, "polygon")]
    assert rig.end("w1")[0] == 0


def test_a_reset_position_is_marked(make_rig: RigFactory) -> None:
    """What an operator skips is told in the stream, and no number is given twice."""
    rig = make_rig(QuoteRig, partitions=1)
    assert isinstance(rig, QuoteRig)

    def quotes_are_stored(count: int) -> None:
        for provider in ("polygon", "alpaca", "polygon"):
            say(rig, provider)
        rig.start("w1")
        rig.wait_stored(count, 60)
        rig.wait_ready("w1")
        assert rig.end("w1")[0] == 0

    quotes_are_stored(3)
    for _ in range(3):
        say(rig, "polygon")
    reset = ("offsets", "reset", "--of", "quotes", "--to", "latest", "--yes")
    subprocess.run([sys.executable, "-m", "ops.cli", *reset], env=rig.env, cwd=rig.folder, check=True)
    quotes_are_stored(9)
    told = [json.loads(m.value()) for m in rig.records(rig.stream)]
    assert [m.get("reason", m.get("n")) for m in told] == [1, 2, 3, "position reset", 7, 8, 9]
    assert {row["n"] for row in rig.rows()} == {1, 2, 3, 7, 8, 9}


def say(rig: QuoteRig, provider: str, ago_ns: int = 0) -> None:
    """Produce a quote of this moment, and wait for the broker."""
    now_ns = SystemClock().now_ns() - ago_ns
    quote = {
        "symbol": "TWO",
        "provider": provider,
        "feed": "sip",
        "ts_event": now_ns,
        "bid": 10.0,
        "ask": 10.1,
    }
    rig.send([(b"TWO", json.dumps(quote).encode(), ())])
