"""``tapeflow produce job``: jobs from options or from a file to Kafka."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from domain.clock import SystemClock
from ops.job_options import make_job, numbered, read_symbols, read_window
from ops.job_production import Delivery, produce_jobs
from ops.jobs_file import JobsFile
from ops.ticks_file import Lines
from schemas.errors import PartialSuccess
from schemas.jobs import Job
from schemas.provider import INTERVALS, PROVIDERS
from schemas.topics import JOBS

Command = TypeVar("Command", bound=Callable[..., Any])


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator for many, applied so that help lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_symbols = _options(
    click.option("--symbols", metavar="A,B", help="Canonical symbols, by commas."),
    click.option(
        "--symbols-file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
        help="Symbols by lines or commas, # begins a comment; - is stdin.",
    ),
)
_window = _options(
    click.option("--start", metavar="TIME", help="First moment, ISO 8601 with a zone."),
    click.option("--end", metavar="TIME", help="First moment after it."),
    click.option(
        "--session",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DATE",
        help="Instead of both: regular hours of this date in New York; of 1d the whole date.",
    ),
)
_interval = click.option(
    "--interval", type=click.Choice(INTERVALS), default="1m", show_default=True, help="Length of a bar."
)
_coverage = _options(
    click.option(
        "--coverage",
        type=click.Choice(["consolidated", "iex"]),
        default="consolidated",
        show_default=True,
        help="Whose trades or quotes: all exchanges', or IEX's alone.",
    ),
    click.option(
        "--allow-downgrade",
        is_flag=True,
        help="Take lesser coverage, as provisional, if nobody has the one asked for.",
    ),
)
_told = _options(
    click.option("--provider-hint", type=click.Choice(PROVIDERS), help="Whom to ask first, if fit."),
    click.option("--job-id", help="Default: a new one, printed."),
    click.option("--requested-at", metavar="TIME", help="For people. Default: now."),
)
_delivery = _options(
    click.option("--topic", help=f"Default: {JOBS.name} with TOPIC_PREFIX."),
    click.option("--bootstrap-servers", metavar="HOST:PORT", help="Default: KAFKA_BOOTSTRAP_SERVERS."),
    click.option("--dry-run", is_flag=True, help="Print the jobs and send nothing; needs no broker."),
    click.option("--wait", is_flag=True, help="Until the database says that they are done."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=300.0,
        show_default=True,
        help="Of --wait, in seconds.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
)


@click.group()
def job() -> None:
    """Send jobs: fetch bars, fetch quotes, fill a hole. Ids go to stdout.

    Exit codes: 0 all jobs sent (with --wait: done), 1 a job failed or took too long, 2 usage, 4 no
    broker or database, 5 some lines of a file were bad.
    """


@job.command()
@_symbols
@_interval
@_window
@click.option(
    "--adjustment",
    type=click.Choice(["raw", "split", "all"]),
    default="raw",
    show_default=True,
    help="What prices are adjusted for.",
)
@_coverage
@click.option("--regular", is_flag=True, help="Without the bars before the open and after the close.")
@_told
@_delivery
def bars(
    symbols: str | None,
    symbols_file: Path | None,
    start: str | None,
    end: str | None,
    session: datetime | None,
    interval: str,
    *,
    regular: bool,
    job_id: str | None,
    requested_at: str | None,
    adjustment: str,
    coverage: str,
    allow_downgrade: bool,
    provider_hint: str | None,
    **how: Any,
) -> None:
    """Send a job: fetch the bars of symbols that start in a window.

    Example: tapeflow produce job bars --symbols AAPL,MSFT --session 2025-11-20 --wait
    """
    window = read_window(start, end, session.date() if session else None, daily=interval == "1d")
    if window is None:
        raise click.UsageError("which window? --start and --end, or --session")
    fields = {
        "job_type": "bars",
        "job_id": job_id or _new_id("bars"),
        "symbols": read_symbols(symbols, symbols_file),
        "interval": interval,
        "window": window,
        "adjustment": adjustment,
        "coverage": coverage,
        "extended_hours": not regular,
        "allow_downgrade": allow_downgrade,
        "provider_hint": provider_hint,
        "requested_at": requested_at or _now(),
    }
    _produce([make_job(fields)], Delivery(**how))


@job.command()
@_symbols
@_window
@_coverage
@_told
@_delivery
def quotes(
    symbols: str | None,
    symbols_file: Path | None,
    start: str | None,
    end: str | None,
    session: datetime | None,
    *,
    job_id: str | None,
    requested_at: str | None,
    coverage: str,
    allow_downgrade: bool,
    provider_hint: str | None,
    **how: Any,
) -> None:
    """Send a job: fetch the latest quotes of symbols, or all of a window.

    Example: tapeflow produce job quotes --symbols AAPL,MSFT
    """
    fields = {
        "job_type": "quotes",
        "job_id": job_id or _new_id("quotes"),
        "symbols": read_symbols(symbols, symbols_file),
        "window": read_window(start, end, session.date() if session else None),
        "coverage": coverage,
        "allow_downgrade": allow_downgrade,
        "provider_hint": provider_hint,
        "requested_at": requested_at or _now(),
    }
    _produce([make_job(fields)], Delivery(**how))


@job.command()
@_symbols
@_interval
@_window
@click.option(
    "--priority",
    type=click.Choice(["T0", "T1", "T2"]),
    default="T1",
    show_default=True,
    help="T0 goes before T1, T1 before T2.",
)
@click.option("--reason", default="by hand", show_default=True, help="Why, in one line.")
@_told
@_delivery
def backfill(
    symbols: str | None,
    symbols_file: Path | None,
    start: str | None,
    end: str | None,
    session: datetime | None,
    interval: str,
    priority: str,
    reason: str,
    *,
    job_id: str | None,
    requested_at: str | None,
    provider_hint: str | None,
    **how: Any,
) -> None:
    """Send jobs: queue a window of each symbol to be filled. One job a symbol, numbered if several.

    Example: tapeflow produce job backfill --symbols AAPL --session 2025-11-20 --reason 'outage'
    """
    window = read_window(start, end, session.date() if session else None, daily=interval == "1d")
    if window is None:
        raise click.UsageError("which window? --start and --end, or --session")
    names = read_symbols(symbols, symbols_file)
    common = {
        "job_type": "backfill",
        "interval": interval,
        "window": window,
        "priority": priority,
        "reason": reason,
        "provider_hint": provider_hint,
        "requested_at": requested_at or _now(),
    }
    ids = numbered(job_id or _new_id("backfill"), len(names))
    jobs = [make_job({**common, "job_id": i, "symbol": s}) for i, s in zip(ids, names, strict=True)]
    _produce(jobs, Delivery(**how))


@job.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@_delivery
def send(file: Path, **how: Any) -> None:
    """Send the jobs of FILE (one JSON object a line; - is stdin).

    Every line is checked against the contract; bad ones are told with their line and never sent.

    Example: tapeflow produce job send morning.ndjson --wait
    """
    stdin = str(file) == "-"
    fd = sys.stdin.fileno() if stdin else os.open(file, os.O_RDONLY)
    stopped = threading.Event()
    source = JobsFile(Lines(fd, stopped))
    try:
        produce_jobs(source.blocks(), Delivery(**how), stopped.set)
    finally:
        if not stdin:
            os.close(fd)
    if source.bad:
        raise PartialSuccess(f"{source.bad:,} of {source.rows:,} jobs are bad and were not sent")


def _produce(jobs: list[Job], how: Delivery) -> None:
    produce_jobs(iter([(jobs, [])]), how)


def _new_id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def _now() -> str:
    return datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC).isoformat(timespec="milliseconds")
