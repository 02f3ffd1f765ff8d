"""How long quotes take: to the topic that consumers read, and to the database.

When a quote reached the topic is what the broker's own clock says of it (LogAppendTime, rounded up to the
next millisecond): so the reader may take its time, and does not keep busy the broker that it measures.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import Self

import psycopg
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, TopicPartition

from domain.clock import SystemClock

MARK = b'"ts_recv":'
#: bounds of the bars of a histogram, in milliseconds
BARS_MS = (2, 5, 10, 15, 20, 25, 35, 50, 75, 100, 150, 250, 500, 1_000, 10_000)
#: what the watcher of rows adds at most to what it sees
POLL_S = 0.01
ROWS = """
    select symbol, ts_ns from quotes_l1
    where symbol = any(%s) and ts > to_timestamp(%s) and ts_ns > %s
    order by ts_ns
"""


class Delays:
    """Delays in milliseconds."""

    def __init__(self, name: str, found: Sequence[float]) -> None:
        """Take them in any order; at least one."""
        self.name, self._sorted = name, sorted(found)

    def share(self, of: float) -> float:
        """Return the delay that so large a share does not exceed."""
        return self._sorted[min(len(self._sorted) - 1, int(of * len(self._sorted)))]

    def lines(self) -> list[str]:
        """Return a histogram for people."""
        shares = ", ".join(f"p{of * 100:g} {self.share(of):.1f}" for of in (0.5, 0.9, 0.99, 0.999))
        told = [f"{self.name}: {len(self._sorted):,} seen, {shares}, worst {self._sorted[-1]:.1f} ms"]
        below = 0
        for least, bound in zip((0, *BARS_MS), BARS_MS, strict=False):
            upto = bisect_right(self._sorted, bound)
            if upto > below:
                share = (upto - below) / len(self._sorted)
                told.append(f"  {least:>5} to {bound:>6} ms {share:>8.3%} {'#' * round(share * 60)}")
            below = upto
        return told


class Watch:
    """Reads along while a feed runs; use it as a context manager."""

    def __init__(
        self, bootstrap: str, topic: str, url: str, partitions: int, probes: Sequence[bytes]
    ) -> None:
        """Take what to read, and the symbols of which the rows are watched."""
        self._clock = SystemClock()
        self._topic_ms: list[float] = []
        self._rows_ms: list[float] = []
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "watch",
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1 << 20,
                "enable.auto.commit": False,
            }
        )
        tps = [TopicPartition(topic, p) for p in range(partitions)]
        for tp in tps:
            tp.offset = self._consumer.get_watermark_offsets(tp, timeout=10)[1]
        self._consumer.assign(tps)
        self._connection = psycopg.connect(url, autocommit=True)
        self._seen = {name.decode(): self._last_row(name.decode()) for name in probes}
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._poll)]

    def __enter__(self) -> Self:
        """Start."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._consumer.close()
        self._connection.close()

    def delays(self) -> tuple[Delays, Delays]:
        """Return those to the topic, and those to the row."""
        return Delays("produced to topic", self._topic_ms), Delays("produced to row", self._rows_ms)

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(5_000, 0.1):
                value, (kind, appended_ms) = message.value(), message.timestamp()
                assert isinstance(value, bytes)
                assert kind == TIMESTAMP_LOG_APPEND_TIME
                _, mark, after = value.rpartition(MARK)
                if mark:
                    self._topic_ms.append(appended_ms + 1 - int(after[:19]) / 1e6)

    def _poll(self) -> None:
        # one question for all: one for each would keep database and reader busy with themselves
        names = list(self._seen)
        while not self._stop.wait(POLL_S):
            since = min(self._seen.values())
            found = self._connection.execute(ROWS, (names, since / 1e9 - 1, since)).fetchall()
            now_ns = self._clock.now_ns()
            for symbol, ts_ns in found:
                if ts_ns > self._seen[symbol]:
                    self._rows_ms.append((now_ns - ts_ns) / 1e6)
                    self._seen[symbol] = ts_ns

    def _last_row(self, symbol: str) -> int:
        row = self._connection.execute(
            "select coalesce(max(ts_ns), 0) from quotes_l1 where symbol = %s", (symbol,)
        ).fetchone()
        assert row is not None
        return int(row[0])
