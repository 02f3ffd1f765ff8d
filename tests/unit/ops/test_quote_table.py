"""The live table of quotes, as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ops.amounts import UNKNOWN
from ops.quote_lines import QuoteLine
from ops.quote_table import QuoteTable, number

NOW_NS = 1_762_795_433_971_744_500
SECOND_NS = 1_000_000_000


class Stopped:
    """A clock that stands."""

    def now_ns(self) -> int:
        return NOW_NS

    def monotonic(self) -> float:
        return 0.0


def drawn(table: QuoteTable, height: int = 40, width: int = 120) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=False, legacy_windows=False
    )
    console.print(table)
    out = console.file
    assert isinstance(out, io.StringIO)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def quote(symbol: str, n: int = 1, age_s: float = 0.5, **changes) -> QuoteLine:
    values = {
        "bid": 100.25,
        "bid_size": 300.0,
        "ask": 100.5,
        "ask_size": 1200.0,
        "provider": "polygon",
        "feed": "sip",
    }
    return QuoteLine(NOW_NS - int(age_s * SECOND_NS), symbol=symbol, n=n, **{**values, **changes})


def marker(reason: str, **changes) -> QuoteLine:
    values = {"provider": "polygon", "feed": "sip", "ts_from": NOW_NS - 2 * SECOND_NS}
    return QuoteLine(NOW_NS, type="marker", reason=reason, **{**values, **changes})


def test_a_row_says_what_came_last():
    table = QuoteTable(("AAPL", "MSFT"), Stopped())
    table.take(quote("AAPL", 6))
    table.take(quote("AAPL", 1_007, 61, bid=None, bid_size=None, flags=("one_sided", "stale")))
    head, apple, microsoft = drawn(table)
    assert head.split() == ["symbol", "bid", "size", "ask", "size", "source", "flags", "n", "age"]
    assert apple.split() == [
        "AAPL", UNKNOWN, UNKNOWN, "100.50", "1,200", "polygon", "sip", "one_sided", "stale", "1,007",
        "1", "min", "01", "s",
    ]  # fmt: skip
    assert microsoft.split() == ["MSFT", *[UNKNOWN] * 8]


def test_two_sources_of_a_symbol_are_two_rows():
    table = QuoteTable(("AAPL",), Stopped())
    table.take(quote("AAPL", 1))
    table.take(quote("AAPL", 2, provider="kraken", feed="", bid=99.0))
    rows = drawn(table)[1:]
    assert [row.split()[:2] for row in rows] == [["AAPL", "99"], ["AAPL", "100.25"]]
    assert ["kraken" in rows[0], "polygon sip" in rows[1]] == [True, True]


def test_a_hole_that_is_told_on_every_partition_is_told_once():
    table = QuoteTable(("AAPL",), Stopped())
    for _ in range(12):
        table.take(marker("connection lost: 1006"))
    told = [line for line in drawn(table) if "▲" in line]
    assert told == [
        "▲ polygon sip: quotes may be missing from 17:23:51.971Z to 17:23:53.971Z: connection lost: 1006"
    ]
    for n in range(9):
        table.take(marker(f"takeover {n}"))
    assert [line.rpartition(" ")[2] for line in drawn(table) if "▲" in line] == ["6", "7", "8"]
    table.take(marker("state lost", provider="", feed="", ts_from=0))
    assert drawn(table)[-1].startswith(
        f"▲ tapeflow: quotes may be missing from {UNKNOWN} to 17:23:53.971Z: state lost"
    )


def test_more_rows_than_the_terminal_has_are_counted():
    table = QuoteTable((), Stopped())
    for n in range(100):
        table.take(quote(f"S{n:03d}"))
    lines = drawn(table, height=20)
    assert len(lines) <= 20
    rows = sum(line.startswith("S") for line in lines)
    assert f"{100 - rows} more; name the symbols that you want to see" in lines


def test_what_feeds_say_is_no_markup():
    table = QuoteTable(("AAPL",), Stopped())
    table.take(marker("[bold]mute[/] \x1b[2J"))
    assert "[bold]mute[/]" in drawn(table)[-1]
    assert "\x1b" not in "".join(drawn(table))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, UNKNOWN), (100.0, "100"), (100.5, "100.50"), (100.123, "100.123"), (0.00027625, "0.00027625"),
        (1234567.5, "1,234,567.50"), (105433.6, "105,433.60"), (0.1 + 0.2, "0.30"), (1e-12, "1e-12"),
        (1e12, "1,000,000,000,000"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text
