"""Real answers of Tiingo, recorded by others and read where they lie: none is part of this project."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.answers import Answer
from providers.base import BarRow, BarsRequest
from providers.iex.errors import refusal
from providers.iex.parse import parse_daily, parse_intraday
from providers.rows import check_bars
from schemas.errors import Malformed, NotFound
from schemas.provider import Adjustment
from tests.absent import absent

RECORDED = Path(__file__).parents[4] / "shared" / "vendor" / "tiingo" / "recorded"
#: the adapter always asks for these columns; a recording without them shows that their absence is noticed
COVERED = {
    "ticker_price.yaml": "days, the newest alone",
    "ticker_price_with_date.yaml": "days",
    "ticker_price_weekly.yaml": "weeks, in the shape of days",
    "ticker_price_with_multiple_columns.yaml": "days, some columns",
    "ticker_price_with_volume_column.yaml": "days, without prices",
    "intraday_price.yaml": "half hours, without volume",
}
NOT_COVERED = {"invalid_url.yaml": "the answer of another company's server: only its status can be read"}
NAMES = {"raw": "{}", "split": "{}", "all": "adj{}"}


@pytest.fixture
def recorded() -> Path:
    if not RECORDED.is_dir():
        absent(f"no recordings: {RECORDED}")
    return RECORDED


def answer(path: Path) -> Answer:
    (one,) = yaml.safe_load(path.read_text())["interactions"]
    said = one["response"]
    return Answer(said["status"]["code"], {}, said["body"]["string"].encode())


def by_hand(body: bytes, adjustment: Adjustment) -> list[tuple[Any, ...]]:
    """Read a recording without our parser; it has no splits."""
    days = []
    for bar in json.loads(body):
        assert bar.get("splitFactor", 1.0) == 1.0
        at = datetime.fromisoformat(bar["date"])
        values = (
            bar["adj" + name.title() if adjustment == "all" else name]
            for name in ("open", "high", "low", "close", "volume")
        )
        days.append((at.date(), *values))
    return days


def as_read(rows: list[BarRow]) -> list[tuple[Any, ...]]:
    return [(date.fromordinal(r.session + 719_163), r.open, r.high, r.low, r.close, r.volume) for r in rows]


def test_every_recording_is_covered_or_has_a_reason(recorded: Path):
    assert {path.name for path in recorded.iterdir()} == COVERED.keys() | NOT_COVERED.keys()


@pytest.mark.parametrize("adjustment", ["raw", "split", "all"])
@pytest.mark.parametrize(
    ("name", "count"),
    [("ticker_price.yaml", 1), ("ticker_price_with_date.yaml", 2), ("ticker_price_weekly.yaml", 3)],
)
def test_days(recorded: Path, name: str, count: int, adjustment: Adjustment):
    body = answer(recorded / name).body
    rows = parse_daily(body, "GOOGL", adjustment)
    assert len(rows) == count
    assert as_read(rows) == by_hand(body, adjustment)
    window = rows[0].ts_event, rows[-1].ts_event + 1
    check_bars(rows, BarsRequest(("GOOGL",), "1d", *window, adjustment), "iex")


def test_a_day_in_full(recorded: Path):
    rows = parse_daily(answer(recorded / "ticker_price_with_date.yaml").body, "GOOGL", "raw")
    assert rows[0] == BarRow(
        *("GOOGL", 1_420_174_800_000_000_000, 532.6, 535.8, 527.88, 529.55, 1327870.0, None, None),
        (date(2015, 1, 2) - date(1970, 1, 1)).days,
    )
    assert rows[1].ts_event == int(datetime(2015, 1, 5, 5, tzinfo=UTC).timestamp()) * 1_000_000_000


def test_some_columns(recorded: Path):
    body = answer(recorded / "ticker_price_with_multiple_columns.yaml").body
    assert as_read(parse_daily(body, "GOOGL", "raw")) == by_hand(body, "raw")
    with pytest.raises(Malformed, match="splitFactor"):
        parse_daily(body, "GOOGL", "split")
    with pytest.raises(Malformed, match="adj columns"):
        parse_daily(body, "GOOGL", "all")
    volumes = answer(recorded / "ticker_price_with_volume_column.yaml").body
    with pytest.raises(Malformed, match="open"):
        parse_daily(volumes, "GOOGL", "raw")


def test_half_hours(recorded: Path):
    body = answer(recorded / "intraday_price.yaml").body
    with pytest.raises(Malformed, match="volume"):
        parse_intraday(body, "GOOGL")
    told = json.loads(body)
    rows = parse_intraday(json.dumps([{**bar, "volume": 1} for bar in told]).encode(), "GOOGL")
    assert [
        (datetime.fromtimestamp(r.ts_event / 1e9, UTC), r.open, r.high, r.low, r.close) for r in rows
    ] == [
        (
            datetime.fromisoformat(bar["date"]),
            *(bar["open"], bar["high"], bar["low"], bar["close"]),
        )
        for bar in told
    ]
    first = int(datetime(2018, 1, 2, 14, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
    assert (rows[0].ts_event, rows[0].open, rows[-1].ts_event) == (first, 1057.47, first + 6 * 3600 * 10**9)
    check_bars(rows, BarsRequest(("GOOGL",), "30m", first, rows[-1].ts_event + 1), "iex")


def test_another_companys_404(recorded: Path):
    said = answer(recorded / "invalid_url.yaml")
    error = refusal(said, 0)
    assert isinstance(error, NotFound)
    assert str(error) == "iex: 404 HTML"
