"""Real trades by the fold alone: the bars are the venue's own."""

from __future__ import annotations

import csv
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import pytest

from domain.candles import Book, Patience
from schemas.candle import Bar
from schemas.trade import Trade
from tests.absent import absent
from tests.unit.domain.tape import SECOND_NS, Item, play

DATA = Path(__file__).parents[4] / "shared" / "data" / "kraken-xbtusdt"
#: whole minutes of the recording: 2025-11-10T17:24 to 2025-11-11T00:12 UTC
FIRST_S, LAST_S = 1_762_795_440, 1_762_819_920


#: of the venue, by start in seconds
Rows = dict[int, dict[str, str]]


@pytest.fixture(scope="module")
def bars() -> dict[int, Bar]:
    """The bars of the whole minutes, by start in seconds."""
    if not DATA.exists():
        absent(f"no recordings: {DATA}")
    with (DATA / "trades.csv").open() as lines:
        tape: list[Item] = [
            Trade(
                "XBT/USDT",
                int(Decimal(row["ts"]) * SECOND_NS),
                float(row["price"]),
                float(row["size"]),
                "kraken",
            )
            for row in csv.DictReader(lines)
        ]
    assert len(tape) == 1_000
    outcome = play(Book(Patience()), tape, cuts=range(0, 1_000, 7))
    assert (outcome.expired, outcome.late) == ([], 0)
    starts = {bar.ts_event // SECOND_NS: bar for bar in outcome.bars}
    return {start: bar for start, bar in starts.items() if FIRST_S <= start <= LAST_S}


@pytest.fixture(scope="module")
def venue(bars: dict[int, Bar]) -> Rows:
    """The venue's own bars of the same minutes."""
    with (DATA / "ohlc_1m.csv").open() as lines:
        rows = {int(row["ts"]): row for row in csv.DictReader(lines)}
    return {start: row for start, row in rows.items() if FIRST_S <= start <= LAST_S}


def test_all_272_minutes_that_traded_are_equal(bars: dict[int, Bar], venue: Rows) -> None:
    traded = {
        start: (
            *(float(row[column]) for column in ("open", "high", "low", "close", "volume")),
            int(row["count"]),
        )
        for start, row in venue.items()
        if int(row["count"])
    }
    assert len(traded) == 272
    assert traded == {
        start: (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count)
        for start, bar in bars.items()
    }


def test_the_137_minutes_that_did_not_have_no_bar(bars: dict[int, Bar], venue: Rows) -> None:
    quiet = {start for start, row in venue.items() if not int(row["count"])}
    assert len(quiet) == 137
    assert not quiet & bars.keys()


def test_vwap_is_the_venues_where_it_is_not_cut(bars: dict[int, Bar], venue: Rows) -> None:
    tenth = Decimal("0.1")
    # on the boundary of a tenth one last bit decides where the venue cuts
    near = Decimal("1e-6")
    for start, bar in bars.items():
        ours = {
            (Decimal(bar.vwap) + nudge).quantize(tenth, ROUND_DOWN) for nudge in (-near, Decimal(0), near)
        }
        assert Decimal(venue[start]["vwap"]).quantize(tenth) in ours
