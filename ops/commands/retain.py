"""``tapeflow retain``: let old quotes go."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click

from domain.clock import SystemClock
from ops.commands.migrate import database_url
from ops.commands.topics import as_json
from ops.database import connected
from sinks.retention import old_quotes, remove_quotes

SCHEMA_VERSION = 1


@click.command()
@click.option(
    "--quotes",
    "days",
    type=click.IntRange(1, 36_500),
    required=True,
    metavar="DAYS",
    help="Keep the quotes of so many days; at least 1.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@database_url
@as_json
def retain(days: int, dry_run: bool, database_url: str, as_json: bool) -> None:  # noqa: FBT001 - click
    """Let old quotes go. Candles, positions and jobs stay.

    To be run once a day, by cron say. On TimescaleDB whole chunks are dropped, so that up to a day more is
    kept; on plain PostgreSQL at most 100,000 rows go in a transaction. It can be interrupted, and run again.

    Example: tapeflow retain --quotes 30
    """
    now_ns = SystemClock().now_ns()
    before = datetime.fromtimestamp(now_ns / 1e9, UTC) - timedelta(days=days)
    removed = []
    with connected(database_url, lacks="no table of quotes", read_only=dry_run) as connection:
        for gone in (old_quotes if dry_run else remove_quotes)(connection, before):
            removed.append(gone)
            if not as_json:
                click.echo(gone.what if gone.rows is None else f"{gone.what}  {gone.rows} rows")
    if as_json:
        document = {
            "schema_version": SCHEMA_VERSION,
            "before": before.isoformat(),
            "dry_run": dry_run,
            "removed": [gone._asdict() for gone in removed],
        }
        click.echo(json.dumps(document))
    elif not removed:
        click.echo(f"nothing is older than {before:%Y-%m-%d %H:%M} UTC", err=True)
