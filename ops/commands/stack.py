"""``tapeflow up``, ``down``, ``status``: a broker and a database to work with, on this machine."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from rich.text import Text

from sandbox.pair import Part
from sandbox.readiness import Say
from sandbox.stack import AUTO, KINDS, Stack
from schemas.errors import DependencyAway
from streams.settings import read_settings

SCHEMA_VERSION = 1
TERMINATED = 128 + signal.SIGTERM

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@click.option(
    "--kind",
    type=click.Choice([AUTO, *KINDS]),
    default=AUTO,
    show_default=True,
    help="auto: the first that this machine can have, in this order.",
)
@as_json
def up(kind: str, *, as_json: bool) -> None:
    r"""Start a broker and a database, migrate, create the topics.

    Both URLs are printed as environment variables, and kept in .tapeflow/env. Nothing is started if
    KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL are set already, or if the stack is up. Everything is
    kept in .tapeflow in the working folder; TAPEFLOW_HOME names another.

    \b
    compose   Kafka and TimescaleDB in Docker
    local     Kafka (Java 17, Maven) and TimescaleDB (apt of a Debian), without Docker
    embedded  a broker that keeps nothing on disk, and plain PostgreSQL, from Python packages

    Example: export $(tapeflow up)
    """
    settings = read_settings()
    with _told() as say, _terminable():
        stack = Stack(say=say)
        running = stack.up(kind, prefix=settings.topic_prefix, partitions=settings.topic_partitions)
    if as_json:
        report = {
            "schema_version": SCHEMA_VERSION,
            "kind": running.kind,
            "folder": str(stack.home.path),
            "kafka_bootstrap_servers": running.urls.kafka,
            "database_url": running.urls.database,
        }
        click.echo(json.dumps(report))
    else:
        click.echo(running.urls.lines, nl=False)
    click.echo(f"up ({running.kind})", err=True)


@click.command()
@click.option("--wipe", is_flag=True, help="Delete the data too.")
@as_json
def down(*, wipe: bool, as_json: bool) -> None:
    """Stop what `tapeflow up` started here, and nothing else; the data stays.

    Example: tapeflow down --wipe
    """
    with _told() as say:
        stopped = Stack(say=say).down(wipe=wipe)
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "stopped": stopped, "wiped": wipe}))
        return
    for name in stopped:
        click.echo(f"stopped {name}")
    if not stopped:
        click.echo("nothing was up", err=True)
    if wipe:
        click.echo("deleted its data", err=True)


@click.command()
@as_json
def status(*, as_json: bool) -> None:
    """Say what is up; exit code 4 if nothing is, or if something that should run does not.

    Example: tapeflow status --json
    """
    kind, parts = Stack().status()
    if as_json:
        report = {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "up": bool(parts) and all(part.up for part in parts),
            "parts": [{"name": part.name, "up": part.up, "where": part.where} for part in parts],
        }
        click.echo(json.dumps(report))
    else:
        for part in parts:
            click.echo(_line(part))
    if kind is None:
        raise DependencyAway("nothing is up here; tapeflow up starts it")
    away = [part.name for part in parts if not part.up]
    if away:
        raise DependencyAway(
            f"{' and '.join(away)} of the stack ({kind}) should run and do not answer: tapeflow up"
        )


def _line(part: Part) -> str:
    return f"{part.name}: {'up' if part.up else 'DOWN'}, {part.where}"


@contextmanager
def _told() -> Iterator[Say]:
    """Yield what tells people on stderr: beside a spinner on a terminal, as plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield lambda line: click.echo(line, err=True)
        return
    console = Console(stderr=True)
    with console.status("") as spinner:

        def say(line: str) -> None:
            console.print(line, markup=False, highlight=False)
            spinner.update(Text(line))

        yield say


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that nothing stays half started."""

    def leave(_: int, __: FrameType | None) -> NoReturn:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
