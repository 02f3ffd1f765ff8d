"""Quotes as a table that people watch: one row a symbol and source, the last quote in it."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from domain.clock import Clock
from ops.amounts import UNKNOWN, duration
from ops.quote_lines import QuoteLine

SECOND_NS = 1_000_000_000
#: the last markers that are told
MAX_MARKERS = 3
#: lines that are no rows: head, foot, markers, and how many rows are not shown
FRAME_LINES = 5 + MAX_MARKERS
FLAG_STYLES = {"crossed": "bold red", "locked": "yellow", "stale": "dim", "out_of_order": "dim"}
FRESH_S = 1.0
SMALLEST = 1e-9


class QuoteTable:
    """The state of the table; renders itself by the height of the terminal."""

    def __init__(self, symbols: tuple[str, ...], clock: Clock) -> None:
        """Take which symbols have a row from the start, and a clock for ages."""
        self._clock = clock
        self._rows: dict[tuple[str, str, str], QuoteLine] = {}
        self._waiting = dict.fromkeys(symbols)
        self._markers: dict[tuple[str, str, int, str], QuoteLine] = {}
        self.quotes = 0
        """So many have been taken."""

    def take(self, line: QuoteLine) -> None:
        """Take a quote or a marker."""
        if line.is_marker:
            # a feed tells it on every partition: one line for all of them
            self._markers[line.provider, line.feed, line.ts_event, line.reason] = line
            while len(self._markers) > MAX_MARKERS:
                del self._markers[next(iter(self._markers))]
            return
        self.quotes += 1
        self._waiting.pop(line.symbol, None)
        self._rows[line.symbol, line.provider, line.feed] = line

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and, below it, the last markers."""
        table = Table("symbol", box=None, pad_edge=False, header_style="bold")
        for name in ("bid", "size", "ask", "size"):
            table.add_column(name, justify="right")
        for name in ("source", "flags"):
            table.add_column(name)
        table.add_column("n", justify="right")
        table.add_column("age", justify="right")
        now = self._clock.now_ns()
        rows = [self._cells(self._rows[key], now) for key in sorted(self._rows)]
        rows += [[Text(symbol), *[Text(UNKNOWN, "dim")] * 8] for symbol in self._waiting]
        room = max(1, (options.height or options.max_height) - FRAME_LINES)
        for cells in rows[:room]:
            table.add_row(*cells)
        yield table
        if len(rows) > room:
            yield Text(f"{len(rows) - room:,} more; name the symbols that you want to see", "dim")
        for marker in self._markers.values():
            yield _told(marker)

    def _cells(self, line: QuoteLine, now_ns: int) -> list[Text]:
        age_s = (now_ns - line.ts_event) / SECOND_NS
        flags = Text(" ").join(Text(_plain(flag), FLAG_STYLES.get(flag, "")) for flag in line.flags)
        return [
            Text(_plain(line.symbol), "bold"),
            Text(number(line.bid), "green"),
            Text(number(line.bid_size)),
            Text(number(line.ask), "red"),
            Text(number(line.ask_size)),
            Text(_source(line)),
            flags,
            Text(f"{line.n:,}"),
            Text(duration(max(0.0, age_s)), "" if age_s < FRESH_S else "dim"),
        ]


def number(value: float | None) -> str:
    """Return a price or size: thousands separated, cents in full, every further digit up to nine."""
    if value is None:
        return UNKNOWN
    if value == int(value):
        return f"{value:,.0f}"
    if value < SMALLEST:
        return f"{value:g}"
    whole, _, fraction = f"{value:,.9f}".partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _source(line: QuoteLine) -> str:
    return _plain(f"{line.provider} {line.feed}" if line.feed else line.provider)


def _plain(text: str) -> str:
    """Return a text that cannot steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _told(marker: QuoteLine) -> Text:
    since, until = _moment(marker.ts_from), _moment(marker.ts_event)
    who = _source(marker) or "tapeflow"
    return Text(f"▲ {who}: quotes may be missing from {since} to {until}: {_plain(marker.reason)}", "yellow")


def _moment(ns: int) -> str:
    if ns <= 0:
        return UNKNOWN
    at = datetime.fromtimestamp(ns // SECOND_NS, UTC)
    return f"{at:%H:%M:%S}.{ns % SECOND_NS // 1_000_000:03d}Z"
