"""``tapeflow produce``: trades from a file, and jobs, to Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from typing_extensions import override

from domain.clock import SystemClock
from ops.commands.produce_job import job
from ops.production import Production, Stop
from ops.production_progress import ProductionProgress
from ops.tick_columns import Columns, MappingError
from ops.tick_sender import TickSender
from ops.ticks_file import CHUNK_ROWS, CSV, NDJSON, SUFFIXES, Lines, TicksFile
from ops.timestamps import UNITS
from schemas.errors import PartialSuccess
from schemas.topics import TRADES
from streams.settings import read_settings
from telemetry.logs import silenced

SCHEMA_VERSION = 1
#: chunks a second when the rate is limited: what is sent at once stays small
PACES = 20
TICKS = "ticks"


class _Producing(click.Group):
    """Takes FILE where a command could stand: ``produce FILE`` is ``produce ticks FILE``."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [TICKS, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Producing)
def produce() -> None:
    """Send the trades of a file to Kafka, or jobs.

    \b
    tapeflow produce trades.csv --set provider=kraken      the same as: tapeflow produce ticks trades.csv ...
    tapeflow produce job bars --symbols AAPL --session 2025-11-20
    """  # noqa: D301 - click wants the character


produce.add_command(job)


@produce.command(TICKS)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "form", type=click.Choice([CSV, NDJSON]), help="Default: by the file's suffix.")
@click.option("--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="Read a field from a column.")
@click.option("--set", "sets", multiple=True, metavar="FIELD=VALUE", help="Give every trade this value.")
@click.option(
    "--time-unit",
    type=click.Choice(UNITS),
    help="Of timestamps; default: guessed from the first, and said.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Rows a second at most.")
@click.option("--limit", type=click.IntRange(min=0), help="Read so many rows.")
@click.option(
    "--clock/--no-clock",
    "clocks",
    help="Send clock records too, so that bars of quiet symbols close. Only for files in the order of time.",
)
@click.option("--topic", help=f"Default: {TRADES.name} with TOPIC_PREFIX.")
@click.option("--bootstrap-servers", metavar="HOST:PORT", help="Default: KAFKA_BOOTSTRAP_SERVERS.")
@click.option("--dry-run", is_flag=True, help="Validate only; needs no broker.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def ticks(
    file: Path,
    form: str | None,
    maps: Sequence[str],
    sets: Sequence[str],
    time_unit: str | None,
    rate: float | None,
    limit: int | None,
    topic: str | None,
    bootstrap_servers: str | None,
    *,
    clocks: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send the trades of FILE (CSV or NDJSON; - is stdin) to Kafka, keyed by symbol.

    Columns that are named like fields are read by themselves, other ones are ignored. Every row is
    checked against the contract first; bad rows are told with their line and never sent.

    \b
    tapeflow produce trades.csv --map ts_event=ts --set symbol=XBT/USDT --set provider=kraken
    zcat ticks.ndjson.gz | tapeflow produce - --format ndjson --rate 5000 --clock

    Exit codes: 0 all rows sent, 2 usage, 4 no broker, 5 some rows were bad, 130 interrupted.
    """  # noqa: D301 - click wants the character
    form = form or SUFFIXES.get(file.suffix.lower())
    if form is None:
        raise click.UsageError(f"cannot tell the format of {file}; add --format csv or --format ndjson")
    sender = None
    if not dry_run:
        settings = read_settings()
        sender = TickSender(
            bootstrap_servers or settings.kafka_bootstrap_servers,
            topic or settings.topic(TRADES),
            SystemClock(),
        )
    try:
        columns = Columns(_pairs("--map", maps), _pairs("--set", sets), time_unit)
        with silenced("aiokafka"):
            work = asyncio.run(_run(file, columns, sender, form=form, rate=rate, limit=limit, clocks=clocks))
    except MappingError as exc:
        raise click.UsageError(str(exc)) from None
    _summarise(work, as_json=as_json)
    if work.stop.signal:
        raise click.exceptions.Exit(128 + work.stop.signal)
    if work.bad:
        raise PartialSuccess(f"{work.bad:,} of {work.file.rows:,} rows are bad and were not sent")


async def _run(
    file: Path,
    columns: Columns,
    sender: TickSender | None,
    *,
    form: str,
    rate: float | None,
    limit: int | None,
    clocks: bool,
) -> Production:
    stop = Stop()
    _listen(stop)
    stdin = str(file) == "-"
    fd = sys.stdin.fileno() if stdin else os.open(file, os.O_RDONLY)
    try:
        lines = Lines(fd, stop.thread)
        chunk_rows = CHUNK_ROWS if rate is None else min(CHUNK_ROWS, max(1, int(rate / PACES)))
        ticks = TicksFile(lines, columns, form=form, chunk_rows=chunk_rows, limit=limit)
        size = None if stdin or limit is not None else os.fstat(fd).st_size
        with ProductionProgress(size) as progress:
            work = Production(
                ticks, sender, SystemClock(), stop, lambda chunk: progress.update(work, chunk), rate, clocks
            )
            if sender is None:
                await work.run()
            else:
                async with sender:
                    await work.run()
            progress.close_report(work)
        return work
    finally:
        if not stdin:
            os.close(fd)


def _listen(stop: Stop) -> None:
    loop = asyncio.get_running_loop()

    def heard(number: int) -> None:
        loop.remove_signal_handler(number)  # the second one ends it at once
        stop.set(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard, number)


def _pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name or not value:
            raise click.UsageError(f"{option} {pair}: write {option} field=value")
        if name in found:
            raise click.UsageError(f"{option} {name} is given twice")
        found[name] = value
    return found


def _summarise(work: Production, *, as_json: bool) -> None:
    rows, seconds = work.file.rows, work.seconds
    per_second = rows / seconds if seconds > 0 else 0.0
    if as_json:
        report = {
            "schema_version": SCHEMA_VERSION,
            "rows": rows,
            "sent": work.sent,
            "bad": work.bad,
            "clocks": work.sender.clocks if work.sender else 0,
            "seconds": round(seconds, 3),
            "rows_per_second": round(per_second),
            "time_units": {t.name: t.unit for t in work.file.columns.times.values() if t.unit},
            "dry_run": work.sender is None,
            "interrupted": bool(work.stop.signal),
        }
        click.echo(json.dumps(report))
        return
    done = f"{work.sent:,} sent" if work.sender else f"{rows - work.bad:,} good (dry run, nothing sent)"
    early = "; interrupted" if work.stop.signal else ""
    click.echo(f"{rows:,} rows, {done}, {work.bad:,} bad, {seconds:.2f} s, {per_second:,.0f} rows/s{early}")
