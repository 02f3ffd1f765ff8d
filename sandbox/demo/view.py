"""How the demo looks: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sandbox.demo.feed import POISON_EVERY, Feed
from sandbox.demo.readings import Readings, Row
from sandbox.mock_broker import KEEPS_BYTES

#: name, value, style
Figure = tuple[str, str, str]
#: lines of the display that are not rows of its first table
FRAME_LINES = 16
#: below this width the table leaves out what the narrower one can do without
WIDE = 96
CAUGHT_UP_S = 5.0

DISK = f"The broker is a mock: nothing is on disk, and each partition keeps its last {KEEPS_BYTES >> 20} MB."
POISON = f"One record in {POISON_EVERY:,} is bad on purpose: it ends in the dead-letter topic."


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment to show."""

    seconds: float
    """Since the demo started."""
    url: str
    readings: Readings
    feed: Feed
    speed: float


def screen(scene: Scene, width: int) -> RenderableType:
    """Return the display for a terminal of so many columns; made for 100, legible at 80."""
    readings, wide = scene.readings, width >= WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1) if wide else (0, 1, 0, 0))
    table.add_column("symbol", no_wrap=True)
    table.add_column("minute, UTC" if wide else "UTC", no_wrap=True)
    for name in ("open", "high", "low", "close", "volume", "trades", "rev"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in readings.newest:
        table.add_row(*_cells(row, wide=wide))
    if readings.revised:
        table.add_section()
    for row in readings.revised:
        table.add_row(*_cells(row, wide=wide))
    return Group(_head(scene), Text(market(scene), style="dim"), table, _counters(scene), _notes(readings))


def _cells(row: Row, *, wide: bool) -> list[Text]:
    state = "provisional" if not row.is_final else "revised" if row.revision else "final"
    style = {"provisional": "yellow", "revised": "magenta", "final": ""}[state]
    when = row.ts.astimezone(UTC).strftime("%Y-%m-%d %H:%M" if wide else "%H:%M")
    numbers = [f"{n:,.2f}" for n in (row.o, row.h, row.l, row.c)]
    counts = [f"{row.v:,.0f}", f"{row.trade_count:,}", f"{row.revision}"]
    close = "green" if row.c > row.o else "red" if row.c < row.o else ""
    styles = ["bold", "", "", "", "", close, "", "", style, style]
    texts = [row.symbol, when, *numbers, *counts, state]
    return [Text(text, style=look) for text, look in zip(texts, styles, strict=True)]


def _head(scene: Scene) -> Text:
    page = scene.readings.page
    text = Text.assemble(
        ("tapeflow demo", "bold"), f"  {clock(scene.seconds)}   status page ", (scene.url, "underline"), "   "
    )
    word = page.verdict if page else "NO ANSWER"
    text.append(f" {word} ", style="black on green" if word == "OK" else "black on yellow")
    text.append("   Ctrl-C ends it", style="dim")
    return text


def market(scene: Scene) -> str:
    """Return what time it is on the exchange."""
    now = datetime.fromtimestamp(scene.feed.market_ns // 1_000_000_000, UTC)
    behind = scene.feed.behind_s
    if behind < CAUGHT_UP_S:
        pace = "at the pace of the wall clock"
    else:
        pace = f"{scene.speed:.0f} times as fast as ours, {behind / 60:.0f} min behind"
    return f"simulated market: {now:%Y-%m-%d %H:%M:%S} UTC, {pace}"


def _counters(scene: Scene) -> Text:
    text = Text()
    for number, line in enumerate((of_records(scene), of_candles(scene.readings))):
        text.append("\n" * number)
        for name, value, style in line:
            text.append(f"{name} ", style="dim")
            text.append(value, style=style)
            text.append("   ")
    return text


def of_records(scene: Scene) -> list[Figure]:
    """Return (name, value, style) of what the worker counts; what it did not say is a dash, never 0."""
    sent: Figure = ("records sent", f"{scene.feed.records:,}", "")
    page = scene.readings.page
    if page is None:
        return [sent, *((name, "-", "") for name in ("received", "stored", "dead letters", "lag"))]
    commit = "-" if page.last_commit_s is None else f"{page.last_commit_s:.1f} s ago"
    return [
        sent,
        ("received", f"{page.records_in:,}", ""),
        ("stored", f"{page.stored:,}", "green"),
        ("dead letters", f"{page.dead_letters:,}", "yellow" if page.dead_letters else ""),
        ("lag", "-" if page.lag is None else f"{page.lag:,}", ""),
        ("last commit", commit, ""),
    ]


def of_candles(readings: Readings) -> list[Figure]:
    """Return (name, value, style) of what the database counts."""
    return [
        ("candles", f"{readings.candles:,}", ""),
        ("revised by late trades", f"{readings.candles_revised:,}", ""),
        ("trades in them", f"{readings.trades_in_candles:,}", ""),
    ]


def _notes(readings: Readings) -> Text:
    text = Text(f"\n{POISON}\n{DISK}", style="dim")
    if readings.dropped:
        text.append(f"\n{dropped(readings)}", style="bold red" if readings.lost else "")
    return text


def dropped(readings: Readings) -> str:
    """Return what the broker has dropped, and whether that was a loss."""
    if readings.lost:
        return f"LOST: the broker dropped {readings.lost:,} records that were not stored yet."
    return f"It has dropped {readings.dropped:,} records so far; all of them were stored before."


def lines(scene: Scene) -> list[str]:
    """Return the same as plain lines: the counters, and the first candle of the latest minute."""
    readings = scene.readings
    figures = [*of_records(scene), *of_candles(readings)[:1]]
    said = [f"{scene.seconds:6.1f} s  " + "  ".join(f"{name} {value}" for name, value, _ in figures)]
    if readings.newest:
        texts = [cell.plain for cell in _cells(readings.newest[0], wide=True)]
        symbol, when, opened, high, low, closed, volume, trades, revision, state = texts
        said.append(
            f"          {symbol} {when} UTC  o {opened}  h {high}  l {low}  c {closed}  v {volume}  "
            f"trades {trades}  revision {revision}  {state}"
        )
    if readings.lost:
        said.append(f"          {dropped(readings)}")
    return said


def clock(seconds: float) -> str:
    """Return a duration as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
