"""``tapeflow migrate``: evolve the database, or say where it stands."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from migrations.files import OPTIONS
from migrations.runner import MigrationState, migrate_down, migrate_up, migration_status
from schemas.errors import CheckFailed

SCHEMA_VERSION = 1

database_url = click.option(
    "--database-url",
    envvar="DATABASE_URL",
    show_envvar=True,
    required=True,
    help="postgresql://user:password@host:port/database; for a unix socket ?host=%2Ffolder.",
)
chosen_option = click.option(
    "--option",
    type=click.Choice(["auto", *OPTIONS]),
    default="auto",
    show_default=True,
    help="auto: as the database was migrated before, else timescale if its extension is there.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _wanted(option: str) -> str | None:
    return None if option == "auto" else option


def _print_ids(key: str, ids: list[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, key: ids}))
        return
    for name in ids:
        click.echo(name)
    if not ids:
        _say("nothing to do")


@click.group()
def migrate() -> None:
    """Evolve the database.

    \b
    tapeflow migrate up
    tapeflow migrate status --json
    tapeflow migrate down --steps 1 --yes
    """  # noqa: D301 - click wants the character


@migrate.command()
@database_url
@chosen_option
@click.option(
    "--pre",
    "pre_only",
    is_flag=True,
    help="Stop before the first `post` file: workers of the release before still run.",
)
@as_json
def up(database_url: str, option: str, *, pre_only: bool, as_json: bool) -> None:
    """Apply what is missing and print the names; safe to run by several at once."""
    applied = migrate_up(database_url, option=_wanted(option), pre_only=pre_only, on_progress=_say)
    _print_ids("applied", applied, as_json=as_json)


@migrate.command()
@database_url
@click.option(
    "--steps", type=click.IntRange(min=1), default=1, show_default=True, help="How many files to undo."
)
@click.option("--yes", is_flag=True, help="Do not ask: rows of dropped tables are lost.")
@as_json
def down(database_url: str, steps: int, *, yes: bool, as_json: bool) -> None:
    """Undo the newest files and print their names. Rows of dropped tables are lost."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("undoing loses the rows of dropped tables; add --yes if that is meant")
        click.confirm(f"Undo {steps} step(s)? Rows of dropped tables are lost.", abort=True, err=True)
    _print_ids("undone", migrate_down(database_url, steps=steps, on_progress=_say), as_json=as_json)


def _line(state: MigrationState) -> str:
    if state.applied_at is None:
        return f"pending   {'':20}  {state.id}"
    mark = {True: "applied", False: "EDITED", None: "newer"}[state.checksum_ok]
    return f"{mark:<8}  {state.applied_at:%Y-%m-%d %H:%M:%S%z}  {state.id}"


@migrate.command()
@database_url
@chosen_option
@as_json
def status(database_url: str, option: str, *, as_json: bool) -> None:
    """Print the state of every file; exit code 6 if some are pending or were edited."""
    states = migration_status(database_url, option=_wanted(option))
    pending = [state.id for state in states if state.pending]
    edited = [state.id for state in states if state.checksum_ok is False]
    if as_json:
        rows = [asdict(state) for state in states]
        report = {
            "schema_version": SCHEMA_VERSION,
            "option": states[0].option if states else None,
            "pending": len(pending),
            "migrations": rows,
        }
        click.echo(json.dumps(report, default=lambda moment: moment.isoformat()))
    else:
        for state in states:
            click.echo(_line(state))
    if edited:
        raise CheckFailed(f"{len(edited)} applied file(s) were edited, {edited[0]} first; restore them")
    if pending:
        raise CheckFailed(f"{len(pending)} migration(s) pending; run tapeflow migrate up")
