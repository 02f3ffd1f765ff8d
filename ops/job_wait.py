"""Waits until the jobs that were sent are done, by what the database says of them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.status import Status
from rich.text import Text

from domain.clock import Clock
from ops.database import NO_JOBS, connected
from ops.job_report import line_of
from ops.job_sender import Sent
from schemas.errors import CommandError, DependencyAway
from sinks import jobs

POLL_S = 0.25
#: so many jobs are told one by one, more as numbers
TOLD_ONE_BY_ONE = 20


class JobWait:
    """Polls; tells of each change on stderr."""

    def __init__(self, url: str, sent: Sequence[Sent], clock: Clock) -> None:
        """Take where to look for which jobs; looks nowhere yet."""
        self.states: dict[str, str] = {}
        """By job id, of those that any worker has stored since they were sent."""
        self._url = url
        self._clock = clock
        self._pending = {one.job_id: one for one in sent}
        self._count = len(self._pending)
        self._lines: dict[str, str] = {}
        self._away: DependencyAway | None = None
        self._timeout_s = 0.0

    async def run(self, timeout_s: float) -> None:
        """Return when all are done or failed, or time is up; the database may be away in between.

        Raises:
            CommandError: the database has no table of jobs, or its URL is none.
        """
        self._timeout_s = timeout_s
        deadline = self._clock.monotonic() + timeout_s
        with _spinner() as spinner:
            while self._pending:
                try:
                    changed = await asyncio.to_thread(self._look)
                    self._away = None
                except DependencyAway as exc:
                    changed, self._away = [], exc
                for job_id in changed if self._count <= TOLD_ONE_BY_ONE else ():
                    _say(self._lines[job_id], spinner)
                if spinner is not None:
                    spinner.update(Text(str(self._away or self._numbers())))
                if self._clock.monotonic() >= deadline:
                    break
                await asyncio.sleep(POLL_S)
        if self._count > TOLD_ONE_BY_ONE:
            _say(self._numbers(), None)

    def judge(self) -> None:
        """Say what is not as it was hoped.

        Raises:
            CommandError: a job failed, or was not done in time.
            DependencyAway: the database was away when time was up.
        """
        if self._pending and self._away is not None:
            raise self._away
        failed = [job_id for job_id, state in self.states.items() if state == "failed"]
        if failed:
            raise CommandError(f"{len(failed):,} of {self._count:,} jobs failed; {self._lines[failed[0]]}")
        if self._pending:
            first = next(iter(self._pending))
            said = self._lines.get(first, f"{first}: no worker has taken it")
            raise CommandError(
                f"{len(self._pending):,} of {self._count:,} jobs not done after {self._timeout_s:g} s; {said}"
            )

    def _look(self) -> list[str]:
        """Return the ids of the jobs of which there is something new."""
        changed = []
        with connected(self._url, lacks=NO_JOBS) as connection:
            for job_id, sent in list(self._pending.items()):
                job = jobs.read(connection, job_id)
                if job is None or (job.partition, job.offset) < (
                    sent.partition,
                    sent.offset,
                ):
                    continue  # nobody has taken it yet, or the row is that of a job before it with this id
                self.states[job_id] = job.state
                line = line_of(job)
                if self._lines.get(job_id) != line:
                    self._lines[job_id] = line
                    changed.append(job_id)
                if job.state != "waiting":
                    del self._pending[job_id]
        return changed

    def _numbers(self) -> str:
        states = Counter(self.states.values())
        unseen = self._count - len(self.states)
        told = [f"{states[state]:,} {state}" for state in ("done", "failed", "waiting") if states[state]]
        return ", ".join([*told, f"{unseen:,} not taken yet"] if unseen else told)


@contextmanager
def _spinner() -> Iterator[Status | None]:
    """Yield a spinner on a terminal, None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    with Console(stderr=True).status("") as spinner:
        yield spinner


def _say(line: str, spinner: Status | None) -> None:
    # above the spinner if there is one; no markup: what vendors say is data
    if spinner is None:
        click.echo(line, err=True)
    else:
        spinner.console.print(line, markup=False, highlight=False)
