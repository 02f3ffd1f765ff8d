"""``tapeflow tail``: what is on a topic of quotes, as it comes."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from typing import cast

import click
from aiokafka import ConsumerRecord
from rich.console import Console
from rich.live import Live

from domain.clock import SystemClock
from ops.quote_lines import QuoteLine, Repeats, decode
from ops.quote_table import QuoteTable
from ops.topic_tail import Start, follow
from schemas.base import SYMBOL
from schemas.errors import Poison
from schemas.topics import QUOTES
from streams.settings import Settings, read_settings

#: how often a terminal is drawn anew, and how long a line may wait
POLL_S = 0.25

Taken = list[tuple[QuoteLine, bytes]]
"""What was new and wanted, with the bytes of its value."""


@click.group()
def tail() -> None:
    """Show what is on a topic, as it comes."""


@tail.command()
@click.argument("symbols", nargs=-1)
@click.option(
    "--from",
    "start",
    type=click.Choice(["beginning", "latest"]),
    default="latest",
    show_default=True,
    help="With what the topic still has, or only what comes from now on.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many quotes. Default: never.")
@click.option("--json", "as_json", is_flag=True, help="Lines, on a terminal too.")
def quotes(symbols: tuple[str, ...], start: str, count: int | None, *, as_json: bool) -> None:
    """Show quotes of SYMBOLS (of all, if none is named) until told to stop.

    On a terminal a table with the last quote of each symbol and source. Elsewhere lines: the values of
    md.quotes.v1 as they are, in order within a symbol, repeats left out, markers among them: a feed puts
    one on every partition. It reads the topic alone: neither workers nor the database need to be there.

    \b
    tapeflow tail quotes AAPL MSFT
    tapeflow tail quotes AAPL --from beginning --json | jq 'select(.type == "marker")'
    """  # noqa: D301 - click wants the character
    wanted = frozenset(symbols)
    for symbol in symbols:
        if not re.fullmatch(SYMBOL, symbol):
            raise click.UsageError(f"{symbol!r} is no symbol: write it as AAPL or BRK.B")
    settings, feed = read_settings(), cast(Start, start)
    if sys.stdout.isatty() and not as_json:
        asyncio.run(_table(settings, feed, tuple(dict.fromkeys(symbols)), count))
        return
    try:
        asyncio.run(_lines(settings, feed, wanted, count))
    except BrokenPipeError:
        # whoever read has enough; the interpreter must not try to flush at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _lines(settings: Settings, start: Start, wanted: frozenset[str], count: int | None) -> None:
    out = sys.stdout.buffer
    async for taken in _limited(_taken(settings, start, wanted), count):
        out.writelines(value + b"\n" for _, value in taken)
        out.flush()


async def _table(settings: Settings, start: Start, symbols: tuple[str, ...], count: int | None) -> None:
    table = QuoteTable(symbols, SystemClock())
    with Live(table, console=Console(), auto_refresh=False) as live:
        async for taken in _limited(_taken(settings, start, frozenset(symbols)), count):
            for line, _ in taken:
                table.take(line)
            live.refresh()


async def _taken(settings: Settings, start: Start, wanted: frozenset[str]) -> AsyncIterator[Taken]:
    repeats = Repeats()
    said = False
    async for records in follow(settings, QUOTES, start, POLL_S):
        if not said:
            click.echo(f"tapeflow tail: {settings.topic(QUOTES)} from {_words(start)}", err=True)
            said = True
        yield _new(records, repeats, wanted)


def _new(records: Sequence[ConsumerRecord], repeats: Repeats, wanted: frozenset[str]) -> Taken:
    taken: Taken = []
    for record in records:
        try:
            line = decode(record.value)
        except Poison as poison:
            where = f"{record.topic}[{record.partition}]@{record.offset}"
            click.echo(f"tapeflow tail: {where}: {poison}", err=True)
            continue
        if not line.is_marker and wanted and line.symbol not in wanted:
            continue
        key = next((value for name, value in record.headers if name == "id"), b"")
        if repeats.is_new(record.partition, key, line):
            taken.append((line, record.value))
    return taken


async def _limited(batches: AsyncIterator[Taken], count: int | None) -> AsyncIterator[Taken]:
    """Yield until so many quotes were among them; markers do not count."""
    left = count
    async for taken in batches:
        if left is None:
            yield taken
            continue
        quotes = [i for i, (line, _) in enumerate(taken) if not line.is_marker]
        if len(quotes) >= left:
            yield taken[: quotes[left - 1] + 1]
            return
        left -= len(quotes)
        yield taken


def _words(start: Start) -> str:
    return "its beginning" if start == "beginning" else "its end"
