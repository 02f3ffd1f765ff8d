"""The demo's display and its lines: everything is said, nothing unknown is shown as a number."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.console import Console

from sandbox.demo.feed import Feed
from sandbox.demo.readings import Page, Readings, Row
from sandbox.demo.view import FRAME_LINES, Scene, lines, screen
from sandbox.exchange import Exchange, MarketClock
from tests.unit.sandbox.demo.test_feed import NOW, Leaps, Notebook

FINAL = Row(
    "SIM01", datetime(2026, 3, 9, 14, 30, tzinfo=UTC), 1.5, 499.99, 0.5, 2.25, 485_421.0, 2_697, 0, True
)
PAGE = Page("OK", "keeping up", "running", 8_300, 8_292, 8, 21, 0.14)
READINGS = Readings(
    newest=[FINAL, replace(FINAL, symbol="SIM02", is_final=False, revision=3)],
    revised=[replace(FINAL, symbol="SIM03", revision=2)],
    candles=300, candles_revised=4, trades_in_candles=7_992, waiting=21, dropped=0, lost=0, dead_letters=8,
    page=PAGE,
)  # fmt: skip


def scene(readings: Readings = READINGS, market: MarketClock | None = None) -> Scene:
    clock = Leaps(0.0)
    sender = Notebook(clock, clocks=19)
    feed = Feed(Exchange(market or MarketClock.behind(NOW)), sender, clock)
    return Scene(65.4, "http://127.0.0.1:8000/", readings, feed, 20.0)


def drawn(moment: Scene, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(screen(moment, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, symbol: str) -> list[str]:
    return next(line for line in text.splitlines() if symbol in line).split()


@pytest.mark.parametrize("width", [80, 100])
def test_a_candle_has_its_minute_in_utc_its_numbers_and_its_state(width: int) -> None:
    text = drawn(scene(), width)
    when = ["2026-03-09", "14:30"] if width == 100 else ["14:30"]
    numbers = ["1.50", "499.99", "0.50", "2.25", "485,421", "2,697"]
    assert row(text, "SIM01") == ["SIM01", *when, *numbers, "0", "final"]
    assert row(text, "SIM02") == ["SIM02", *when, *numbers, "3", "provisional"]
    assert row(text, "SIM03") == ["SIM03", *when, *numbers, "2", "revised"]


def test_a_minute_in_another_zone_is_shown_in_utc() -> None:
    elsewhere = replace(FINAL, ts=FINAL.ts.astimezone(timezone(timedelta(hours=-5))))
    assert "2026-03-09 14:30" in drawn(scene(replace(READINGS, newest=[elsewhere])))


def test_the_numbers_of_the_worker_and_what_the_broker_is_are_said() -> None:
    text = drawn(scene())
    for said in (
        "1:05", "http://127.0.0.1:8000/", "OK", "records sent 228", "received 8,300", "stored 8,292",
        "dead letters 8", "lag 21", "last commit 0.1 s ago", "candles 300", "revised by late trades 4",
        "One record in 1,000 is bad on purpose", "nothing is on disk", "last 5 MB", "20 times",
    ):  # fmt: skip
        assert said in text, said


def test_it_fits_a_hundred_columns_and_the_lines_it_takes_are_known() -> None:
    text = drawn(scene(replace(READINGS, dropped=1_000_000, candles=1_000_000)))
    assert max(map(len, text.splitlines())) <= 100
    # one row, and three revised
    assert len(text.splitlines()) - len(READINGS.newest) + 3 - len(READINGS.revised) <= FRAME_LINES


def test_a_page_that_does_not_answer_is_not_shown_as_zeros() -> None:
    silent = scene(replace(READINGS, page=None))
    assert "NO ANSWER" in drawn(silent)
    for text in (drawn(silent), lines(silent)[0]):
        assert "stored -" in text
        assert "dead letters -" in text
        assert "lag -" in text
    unknown = scene(replace(READINGS, page=replace(PAGE, lag=None, last_commit_s=None)))
    assert "lag -   last commit -" in drawn(unknown)


def test_a_loss_by_the_broker_is_never_silent() -> None:
    lost = scene(replace(READINGS, dropped=90, lost=7))
    assert "LOST: the broker dropped 7 records that were not stored yet" in drawn(lost)
    assert any("LOST: the broker dropped 7" in line for line in lines(lost))
    harmless = scene(replace(READINGS, dropped=90))
    assert "dropped 90 records so far; all of them were stored before" in drawn(harmless)
    assert "LOST" not in drawn(harmless)


def test_a_market_that_has_caught_up_is_not_called_fast() -> None:
    assert "at the pace of the wall clock" in drawn(scene(market=MarketClock(NOW, NOW)))


def test_lines_are_plain_and_say_the_same() -> None:
    counters, candle = lines(scene())
    assert counters.startswith(
        "  65.4 s  records sent 228  received 8,300  stored 8,292  dead letters 8  lag 21"
    )
    assert " ".join(candle.split()) == (
        "SIM01 2026-03-09 14:30 UTC o 1.50 h 499.99 l 0.50 c 2.25 v 485,421 trades 2,697 revision 0 final"
    )
    assert len(lines(scene(replace(READINGS, newest=[])))) == 1
