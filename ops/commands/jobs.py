"""``tapeflow jobs``: what became of the jobs that were sent."""

from __future__ import annotations

import json

import click

from ops.database import NO_JOBS, connected
from ops.job_report import job_json, show_job, show_jobs, status_json
from schemas.errors import CommandError
from sinks.job_list import latest
from sinks.jobs import read
from streams.settings import read_settings

SCHEMA_VERSION = 1

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group()
def jobs() -> None:
    """Say what became of jobs: who was asked, what came, what waits and why."""


@jobs.command()
@click.argument("job_id")
@as_json
def status(job_id: str, *, as_json: bool) -> None:
    """Show a job, each attempt to serve it, and what of it still waits. Exit 1 if nobody has taken it.

    Example: tapeflow jobs status morning-1
    """
    with connected(read_settings().database_url.get_secret_value(), lacks=NO_JOBS) as connection:
        job = read(connection, job_id)
    if job is None:
        raise CommandError(
            f"no job {job_id}: never sent, refused as poison (see md.dlq.v1), or no worker has taken it yet"
        )
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **status_json(job)}))
    else:
        show_job(job)


@jobs.command("list")
@click.option("--state", type=click.Choice(["waiting", "done", "failed"]), help="Only these.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="So many at most."
)
@as_json
def list_(state: str | None, limit: int, *, as_json: bool) -> None:
    """List jobs, those that changed last first.

    Example: tapeflow jobs list --state waiting
    """
    with connected(read_settings().database_url.get_secret_value(), lacks=NO_JOBS) as connection:
        found = latest(connection, state, limit)
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "jobs": [job_json(j) for j in found]}))
        return
    show_jobs(found)
    if not found:
        click.echo("no jobs" if state is None else f"no jobs that are {state}", err=True)
