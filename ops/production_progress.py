"""What ``tapeflow produce`` tells on stderr while it works."""

from __future__ import annotations

import sys
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops.production import Production
from ops.ticks_file import Chunk

#: so many bad rows are told in full
TOLD_IN_FULL = 20


class ProductionProgress:
    """Bad rows as lines, and a bar if stderr is a terminal; use it as a context manager."""

    def __init__(self, size: int | None) -> None:
        """Take the size of the file in bytes, if it is known."""
        self._told = 0
        self._units_told = False
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.fields[rows]:,} rows  {task.fields[rate]:,.0f}/s  {task.fields[bad]:,} bad"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("", total=size, rows=0, rate=0.0, bad=0)

    def __enter__(self) -> ProductionProgress:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._progress.stop()

    def update(self, work: Production, chunk: Chunk) -> None:
        """Tell of the bad rows of a chunk, and move the bar."""
        for row in chunk.bad[: max(0, TOLD_IN_FULL - self._told)]:
            self._say(f"line {row.line}: {row.reason}")
            self._told += 1
        if not self._units_told:
            self._tell_units(work)
        self._progress.update(
            self._task,
            completed=work.file.lines.bytes_read,
            rows=work.file.rows,
            rate=work.file.rows / work.seconds if work.seconds else 0.0,
            bad=work.bad,
        )

    def close_report(self, work: Production) -> None:
        """Tell what is known only at the end."""
        if work.bad > self._told:
            self._say(f"... and {work.bad - self._told:,} more bad rows")
        if work.file.ignored:
            self._say(f"ignored columns: {', '.join(work.file.ignored[:TOLD_IN_FULL])}")

    def _tell_units(self, work: Production) -> None:
        for column in work.file.columns.times.values():
            if column.guessed and column.unit:
                self._units_told = True
                self._say(f"{column.name} is read as {column.unit} (guessed; --time-unit says it)")

    def _say(self, line: str) -> None:
        # above the bar if there is one; no markup: file contents are data
        if self._progress.disable:
            click.echo(line, err=True)
        else:
            self._progress.console.print(line, markup=False, highlight=False)
