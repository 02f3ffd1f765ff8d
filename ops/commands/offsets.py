"""``tapeflow offsets``: where reading stands, and the operator's decision where it shall go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict

import click

from ops import offsets as positions
from ops.commands.topics import as_json
from ops.offsets import Ledger
from schemas.errors import CheckFailed, CommandError, DependencyAway, Transient
from sinks.offsets import Partition
from streams.settings import Settings, read_settings

COLUMNS = ("topic", "partition", "begin", "committed", "stored", "resume", "end", "verdict")


@click.group()
def offsets() -> None:
    """Show the stored positions; put them right after a topic was re-created or retention passed."""


of_lane = click.option(
    "--of",
    type=click.Choice(list(positions.LANES)),
    default="trades",
    show_default=True,
    help="Whose positions.",
)


@offsets.command()
@of_lane
@as_json
def show(of: str, as_json: bool) -> None:  # noqa: FBT001 - click
    """Show begin, committed, stored and end of every partition; exit 6 if one cannot be gone on from.

    Example: tapeflow offsets show --json
    """
    ledger = _read(read_settings(), of)
    if as_json:
        rows = [{**asdict(p), "verdict": p.verdict} for p in ledger.positions]
        click.echo(json.dumps({"schema_version": 1, "cluster": ledger.cluster, "positions": rows}))
    else:
        click.echo("  ".join(COLUMNS))
        for p in ledger.positions:
            row = {**asdict(p), "verdict": p.verdict}
            click.echo("  ".join("-" if row[c] is None else str(row[c]) for c in COLUMNS))
    lost = [p for p in ledger.positions if p.verdict in ("beyond_end", "before_begin")]
    if lost:
        raise CheckFailed(f"{len(lost)} partitions cannot be gone on from: see `tapeflow offsets reset -h`")


@offsets.command()
@click.option("--to", required=True, metavar="earliest|latest|OFFSET", help="Where to go on.")
@click.option("--partition", "only", type=int, multiple=True, help="Only these; default: all.")
@click.option("--yes", is_flag=True, help="Do it; without it only say what would be done.")
@of_lane
@as_json
def reset(to: str, only: tuple[int, ...], yes: bool, of: str, as_json: bool) -> None:  # noqa: FBT001 - click
    """Put positions elsewhere. Records that are skipped become a gap; records read again change nothing.

    The bar in which reading starts is not published: a part of it would look like all of it. Its trades
    go to the dead-letter topic as `expired`. Quotes are numbered anew, and a marker says so. Refused
    while workers are in the group.

    Example: tapeflow offsets reset --to earliest --partition 3 --yes
    """
    if to not in ("earliest", "latest") and not to.isdecimal():
        raise click.UsageError("--to takes earliest, latest or an offset")
    settings = read_settings()
    ledger = _read(settings, of)
    if unknown := set(only) - {p.partition for p in ledger.positions}:
        raise click.UsageError(f"no partition {min(unknown)}; there are 0..{len(ledger.positions) - 1}")
    chosen = [p for p in ledger.positions if not only or p.partition in only]
    moves = {(p.topic, p.partition): positions.target(p, to) for p in chosen}
    if yes:
        asyncio.run(_move(settings, ledger, moves))
    report = [
        {"topic": p.topic, "partition": p.partition, "from": p.stored, "to": moves[p.topic, p.partition]}
        for p in chosen
    ]
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "done": yes, "moves": report}))
    else:
        for move in report:
            click.echo(f"{move['topic']}[{move['partition']}]: {move['from']} -> {move['to']}")
    if not yes:
        click.echo("nothing was changed: add --yes to do it", err=True)


async def _move(settings: Settings, ledger: Ledger, moves: Mapping[Partition, int]) -> None:
    try:
        if count := await positions.members(settings):
            raise CommandError(f"{count} workers are in group {settings.kafka_group}: stop them first")
        await positions.reset(settings, ledger, moves)
    except Transient as exc:
        raise DependencyAway(str(exc)) from exc


def _read(settings: Settings, of: str) -> Ledger:
    try:
        return asyncio.run(positions.read(settings, positions.LANES[of]))
    except Transient as exc:
        raise DependencyAway(str(exc)) from exc
