"""``tapeflow worker``: one worker process."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys

import click

from schemas.errors import TapeflowError
from streams.settings import Settings, read_settings


@click.command()
@click.option("--web-port", type=click.IntRange(1, 65_535), help="Port of the status page (WEB_PORT, 8000).")
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), help="LOG_LEVEL, INFO."
)
def worker(web_port: int | None, log_level: str | None) -> None:
    """Run a worker until it is told to stop.

    It waits for broker, topics and database, joins the group, and says on its page what it waits for.
    Whatever ends it, restart it: what is not stored is not acknowledged.

    Exit codes: 0 stopped, 3 a topic is missing or wrong, 4 an outage outlasted its budget, 6 a stored
    position is outside its partition, 1 anything else.

    Example: KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 DATABASE_URL=postgresql://... tapeflow worker
    """
    if web_port is not None:
        os.environ["WEB_PORT"] = str(web_port)
    if log_level is not None:
        os.environ["LOG_LEVEL"] = log_level
    sys.exit(run(read_settings()))


def run(settings: Settings) -> int:
    """Run the app in this process; return the exit code."""
    # must be set before Faust is imported
    os.environ.setdefault("F_LOOP", "uvloop")
    app_module = importlib.import_module("streams.app")
    app = app_module.app
    worker = app.Worker(loglevel=settings.log_level, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # it writes terminal codes between the lines of the log
    code = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except (TapeflowError, asyncio.CancelledError) as exc:
        code = exc.exit_code if isinstance(exc, TapeflowError) else 1  # of what came last; the cause follows
    reason = app.first_crash or worker.crash_reason
    if isinstance(reason, TapeflowError):
        return _say(reason)
    return 1 if reason is not None else code


def _say(reason: TapeflowError) -> int:
    click.echo(f"tapeflow worker: {reason}", err=True)
    return reason.exit_code
