"""One process under measurement: started on a filled topic, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

import psycopg

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.02
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run gave."""

    records_per_s: float
    cpu_us: float
    """Microseconds of CPU, user and system, of the whole process per record."""
    rss_mib: float

    def line(self) -> str:
        """Return it for people."""
        rate, cpu = f"{self.records_per_s:>10,.0f} records/s", f"{self.cpu_us:6.2f} us CPU/record"
        return f"{rate}  {cpu}  {self.rss_mib:4.0f} MiB"


def middle(figures: list[Figure]) -> Figure:
    """Return the median of each figure."""
    return Figure(
        median(f.records_per_s for f in figures),
        median(f.cpu_us for f in figures),
        median(f.rss_mib for f in figures),
    )


class Contender:
    """A running process that stores what it reads from a topic; use it as a context manager."""

    def __init__(self, module: str, args: list[str], env: dict[str, str], log: Path) -> None:
        """Take what to run; ``env`` names broker, database, topics and group."""
        self._command = [sys.executable, "-m", module, *args]
        self._env = {**os.environ, **env}
        self._log = log
        self._url = env["DATABASE_URL"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=out, stderr=out)
        self._connection = psycopg.connect(self._url, autocommit=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._connection.close()
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, user and system, all threads."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_mib(self) -> float:
        """Peak resident memory."""
        return self._memory_mib("VmHWM:")

    def rss_now_mib(self) -> float:
        """Resident memory at this moment."""
        return self._memory_mib("VmRSS:")

    def _memory_mib(self, line: str) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition(line)[2].split()[0]) / 1024

    def stored(self) -> int:
        """Records below the stored positions."""
        row = self._connection.execute(
            "select coalesce(sum(next_offset), 0)::int8 from sink_offsets"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def count(self, sql: str) -> int:
        """Ask the database for one number."""
        row = self._connection.execute(sql).fetchone()
        assert row is not None
        return int(row[0])

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, as long as the process lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"{self._command} did not get there: see {self._log}\n{self._log.read_text()[-2000:]}"
                )
            time.sleep(SAMPLE_S)

    def bulk(self, records: int) -> Figure:
        """Return what it takes from the first stored record to the last.

        Between two moments of the steady state, so that neither the start of the interpreter nor the
        records of the first batch count for or against anybody.
        """
        self.until(lambda: self.stored() > 0)
        first, began, cpu = self.stored(), time.monotonic(), self.cpu_s()
        self.until(lambda: self.stored() >= records)
        took, used = time.monotonic() - began, self.cpu_s() - cpu
        done = records - first
        return Figure(done / took, used / done * 1e6, self.rss_mib())

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid
