"""The work of ``tapeflow produce job``: send what is a job, tell of the rest, wait if asked to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import click

from domain.clock import SystemClock
from ops.job_sender import JobSender, Sent
from ops.job_wait import JobWait
from ops.jobs_file import BadLine
from schemas.jobs import Job, encode_job
from schemas.topics import JOBS
from streams.settings import Settings, read_settings
from telemetry.logs import silenced

SCHEMA_VERSION = 1
#: so many bad lines are told in full
TOLD_IN_FULL = 20

Blocks = Iterator[tuple[list[Job], list[BadLine]]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the options say that all commands of jobs have."""

    topic: str | None
    """None: by the settings."""
    bootstrap_servers: str | None
    """None: by the settings."""
    dry_run: bool
    wait: bool
    timeout: float
    """Of the wait, in seconds."""
    as_json: bool


@dataclass(slots=True)
class _Report:
    topic: str = JOBS.name
    jobs: list[Job] = field(default_factory=list)
    """Of a dry run."""
    sent: list[Sent] = field(default_factory=list)
    bad: int = 0


def produce_jobs(blocks: Blocks, how: Delivery, stop: Callable[[], object] = lambda: None) -> None:
    """Send the jobs of each block, tell of its bad lines, print ids or the summary.

    Args:
        blocks: jobs, and lines that are none; read in a thread of its own.
        how: the options.
        stop: ends that reading early.

    Raises:
        DependencyAway: broker or database do not answer.
        CommandError: the topic is missing, a job failed or took too long.
    """
    settings = None if how.dry_run else read_settings()
    with silenced("aiokafka"):
        asyncio.run(_produce(blocks, how, settings, stop))


async def _produce(
    blocks: Blocks, how: Delivery, settings: Settings | None, stop: Callable[[], object]
) -> None:
    report = _Report()
    async with AsyncExitStack() as stack:
        stack.callback(stop)
        sender = None
        if settings is not None:
            report.topic = how.topic or settings.topic(JOBS)
            where = how.bootstrap_servers or settings.kafka_bootstrap_servers
            sender = await stack.enter_async_context(JobSender(where, report.topic))
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            jobs, bad = block
            _tell(bad, report)
            if sender is None:
                report.jobs += jobs
                lines = [encode_job(job).decode() for job in jobs]
            else:
                sent = await sender.send(jobs)
                report.sent += sent
                lines = [one.job_id for one in sent]
            if not how.as_json:
                for line in lines:
                    click.echo(line)
    _tell_end(report, how)
    wait = None
    if settings is not None and how.wait:
        wait = JobWait(settings.database_url.get_secret_value(), report.sent, SystemClock())
        await wait.run(how.timeout)
    if how.as_json:
        click.echo(json.dumps(_summary(report, how, wait)))
    if wait is not None:
        wait.judge()


def _tell(bad: Sequence[BadLine], report: _Report) -> None:
    for line in bad[: max(0, TOLD_IN_FULL - report.bad)]:
        click.echo(f"line {line.line}: {line.reason}", err=True)
    report.bad += len(bad)


def _tell_end(report: _Report, how: Delivery) -> None:
    if report.bad > TOLD_IN_FULL:
        click.echo(f"... and {report.bad - TOLD_IN_FULL:,} more bad lines", err=True)
    if how.dry_run:
        click.echo(f"{len(report.jobs):,} good (dry run, nothing sent)", err=True)
    elif len(report.sent) == 1:
        (one,) = report.sent
        click.echo(f"sent to {one.topic}[{one.partition}]@{one.offset}", err=True)
    else:
        click.echo(f"{len(report.sent):,} sent to {report.topic}", err=True)


def _summary(report: _Report, how: Delivery, wait: JobWait | None) -> dict[str, object]:
    jobs: list[dict[str, object]]
    if how.dry_run:
        jobs = [job.model_dump(mode="json", exclude_none=True) for job in report.jobs]
    else:
        jobs = [{"job_id": s.job_id, "partition": s.partition, "offset": s.offset} for s in report.sent]
    if wait is not None:
        for job in jobs:
            job["state"] = wait.states.get(str(job["job_id"]))
    return {
        "schema_version": SCHEMA_VERSION,
        "topic": report.topic,
        "sent": len(report.sent),
        "bad": report.bad,
        "dry_run": how.dry_run,
        "jobs": jobs,
    }
