"""``tapeflow topics``: the catalogue against a broker."""

from __future__ import annotations

import asyncio
import json

import click

from schemas.errors import CheckFailed, DependencyAway, Transient
from schemas.topics import TOPICS
from streams import topics as catalogue
from streams.settings import Settings, read_settings

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
servers = click.option(
    "--bootstrap-servers", metavar="HOST:PORT,...", help="Default: KAFKA_BOOTSTRAP_SERVERS."
)
partitions = click.option(
    "--partitions", type=click.IntRange(1, 512), help="Default: TOPIC_PARTITIONS, else the catalogue's."
)


@click.group()
def topics() -> None:
    """Create the topics of the catalogue, and compare them with it."""


@topics.command()
@servers
@partitions
@as_json
def apply(bootstrap_servers: str | None, partitions: int | None, as_json: bool) -> None:  # noqa: FBT001 - click
    """Create the topics that are missing; change nothing that exists.

    Example: tapeflow topics apply --bootstrap-servers 127.0.0.1:9092
    """
    settings, where, count = _target(bootstrap_servers, partitions)
    try:
        created = asyncio.run(catalogue.apply(where, prefix=settings.topic_prefix, partitions=count))
    except Transient as exc:
        raise DependencyAway(str(exc)) from exc
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "created": created}))
    else:
        for name in created:
            click.echo(f"created {name}")
        click.echo(f"{len(created)} created, {len(TOPICS) - len(created)} there already", err=True)


@topics.command()
@servers
@partitions
@as_json
def diff(bootstrap_servers: str | None, partitions: int | None, as_json: bool) -> None:  # noqa: FBT001 - click
    """Say what differs between catalogue and broker; exit 6 if anything does.

    Example: tapeflow topics diff --json
    """
    settings, where, count = _target(bootstrap_servers, partitions)
    try:
        found = asyncio.run(catalogue.diff(where, prefix=settings.topic_prefix, partitions=count))
    except Transient as exc:
        raise DependencyAway(str(exc)) from exc
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "differences": found}))
    else:
        for line in found:
            click.echo(line)
    if found:
        raise CheckFailed(f"{len(found)} differences between the catalogue and {where}")
    click.echo(f"the {len(TOPICS)} topics at {where} are as the catalogue says", err=True)


def _target(bootstrap_servers: str | None, count: int | None) -> tuple[Settings, str, int]:
    settings = read_settings()
    return (
        settings,
        bootstrap_servers or settings.kafka_bootstrap_servers,
        count or settings.topic_partitions,
    )
