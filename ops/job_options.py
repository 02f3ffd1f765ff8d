"""What the options of ``tapeflow produce job`` mean: symbols, a window, a job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from providers.sessions import SECOND_NS, day_of, midnight_ns, regular_hours
from schemas.dead_letter import message_of
from schemas.decode_jobs import examine_job
from schemas.errors import Poison
from schemas.jobs import Job

SATURDAY = 5


def read_symbols(text: str | None, file: Path | None) -> list[str]:
    """Return the symbols of a list by commas and of a file, without blanks.

    Args:
        text: by commas.
        file: by lines or commas; what follows a `#` is a comment; `-` is stdin.

    Raises:
        UsageError: there are none, or the file is no text.
    """
    found = list(_words(text or ""))
    if file is not None:
        try:
            with click.open_file(str(file), encoding="utf-8") as lines:
                for line in lines:
                    found += _words(line.partition("#")[0])
        except UnicodeDecodeError as exc:
            raise click.UsageError(f"--symbols-file {file} is not UTF-8: {exc.reason}") from None
    if not found:
        raise click.UsageError("name at least one symbol: --symbols AAPL,MSFT or --symbols-file FILE")
    return found


def _words(text: str) -> Iterator[str]:
    return (word for word in (part.strip() for part in text.split(",")) if word)


def read_window(
    start: str | None, end: str | None, session: date | None, *, daily: bool = False
) -> dict[str, str] | None:
    """Return the window of a job as its JSON has it, or None if no option speaks of one.

    Args:
        start: as it was written; the contract judges it.
        end: likewise.
        session: a date in New York: its regular hours, half days not known.
        daily: the day's bar starts at midnight, so the session is the whole date.

    Raises:
        UsageError: the options contradict each other, or there is no session on that date.
    """
    if session is None:
        if start is None and end is None:
            return None
        if start is None or end is None:
            raise click.UsageError("--start and --end belong together")
        return {"start": start, "end": end}
    if start is not None or end is not None:
        raise click.UsageError("--session is a window itself: leave out --start and --end")
    if session.weekday() >= SATURDAY:
        raise click.UsageError(f"--session {session} is a {session:%A}: no exchange is open")
    day = day_of(session)
    first, last = (midnight_ns(day), midnight_ns(day + 1)) if daily else regular_hours(day)
    return {"start": _iso(first), "end": _iso(last)}


def _iso(ns: int) -> str:
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).isoformat()


def make_job(fields: Mapping[str, Any]) -> Job:
    """Return the job of these fields; those that are None are left out.

    Raises:
        UsageError: it is none by the contract; names the field.
    """
    value = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
    verdict = examine_job(value)
    if isinstance(verdict, Poison):
        raise click.UsageError(message_of(verdict))
    return verdict


def numbered(job_id: str, count: int) -> Sequence[str]:
    """Return so many ids made of one: itself, or with a number each."""
    return [job_id] if count == 1 else [f"{job_id}-{n}" for n in range(1, count + 1)]
