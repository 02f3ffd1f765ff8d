"""A file of jobs, one JSON object a line: each is a job by the contract, or told with its line and field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ops.ticks_file import Lines
from schemas.dead_letter import message_of
from schemas.decode_jobs import examine_job
from schemas.errors import Poison
from schemas.jobs import Job


class BadLine(NamedTuple):
    """A line that is not sent."""

    line: int
    reason: str
    """The field, and what is wrong with it."""


class JobsFile:
    """Reads and judges with the worker's own decoder; blank lines are passed over."""

    def __init__(self, lines: Lines) -> None:
        """Read nothing yet."""
        self._lines = lines
        self._first: dict[str, int] = {}
        """Job id -> the line that has it."""
        self.rows = 0
        self.bad = 0

    def blocks(self) -> Iterator[tuple[list[Job], list[BadLine]]]:
        """Yield the jobs and the bad lines of what could be read at once."""
        before = 0
        for block in self._lines.blocks():
            jobs: list[Job] = []
            bad: list[BadLine] = []
            for number, text in enumerate(block, before + 1):
                if not text or text.isspace():
                    continue
                self.rows += 1
                verdict = self._judge(number, text)
                if isinstance(verdict, BadLine):
                    bad.append(verdict)
                else:
                    jobs.append(verdict)
            before += len(block)
            self.bad += len(bad)
            yield jobs, bad

    def _judge(self, number: int, text: bytes) -> Job | BadLine:
        verdict = examine_job(text)
        if isinstance(verdict, Poison):
            return BadLine(number, message_of(verdict))
        before = self._first.setdefault(verdict.job_id, number)
        if before != number:
            return BadLine(
                number, f"job_id: {verdict.job_id} is that of line {before}, a new job has a new id"
            )
        return verdict
