"""Real answers of polygon, recorded by others: each is parsed, or listed with the reason why not."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from providers.base import BarRow, QuoteRow
from providers.polygon.parse import parse_bars, parse_closes, parse_last_quote, parse_quotes
from providers.sessions import date_of
from schemas.errors import Malformed
from tests.unit.providers.recordings import files, recorded

AGGS = "v2/aggs/ticker/AAPL/range/1/day"
DAYS = {
    f"{AGGS}/2005-04-01/2005-04-04.json": [date(2005, 4, 1), date(2005, 4, 4)],
    # the clocks went forward between the two
    f"{AGGS}/2005-04-02/2005-04-04.json": [date(2005, 4, 4)],
}
CLOSES = {
    "v2/aggs/ticker/AAPL/prev.json": ("AAPL", date(2022, 4, 26)),
    "v2/aggs/grouped/locale/us/market/stocks/2005-04-04_adjusted_true.json": ("GIK", date(2020, 10, 14)),
}
QUOTES = (
    "v3/quotes/AAPL.json",
    (
        "v3/quotes/AAPL_cursor_YXA9MTkyODgxNjYmYXM9JmxpbWl0PTEwJm9yZGVyPWRlc2Mmc29ydD10aW1lc3RhbXAmdGltZXN0YW1wLm"
        "x0ZT0yMDIyLTA1LTEwVDE0JTNBMTElM0ExMi42OTA2NjExODla.json"
    ),
)
LAST = "v2/last/nbbo/AAPL.json"
NOT_COVERED = {
    "v1/marketstatus": "the calendar is our own",
    "v1/open-close": "days are asked for as aggregates, which say how they are adjusted",
    "v2/last/trade": "trades come by the feed",
    "v3/trades": "trades come by the feed",
    "v2/snapshot": "cleared at night, and zeros until the first trade: not asked for",
    "v3/snapshot": "as above",
    "v3/reference": "facts about exchanges, conditions and splits: no bars and no quotes",
}


def read(name: str) -> tuple[bytes, Any]:
    body = (recorded("polygon") / name).read_bytes()
    return body, json.loads(body)


def test_every_recording_is_read_or_listed_with_the_reason() -> None:
    rest = files(recorded("polygon")) - {*DAYS, *CLOSES, *QUOTES, LAST}
    assert {name for name in rest if not name.startswith(tuple(NOT_COVERED))} == set()
    assert all(any(name.startswith(prefix) for name in rest) for prefix in NOT_COVERED)


@pytest.mark.parametrize("name", DAYS)
def test_days(name: str) -> None:
    body, said = read(name)
    page = parse_bars(body, "AAPL", daily=True, adjusted=True)
    assert [date_of(row.session) for row in page.rows][-len(DAYS[name]) :] == DAYS[name]
    for row, bar in zip(page.rows, said["results"], strict=True):
        prices = (bar["o"], bar["h"], bar["l"], bar["c"])
        ts = bar["t"] * 1_000_000
        assert row == BarRow("AAPL", ts, *prices, bar["v"], bar["vw"], bar["n"], row.session)
    assert page.next_url == said.get("next_url", "")


@pytest.mark.parametrize("name", CLOSES)
def test_a_day_that_is_named_by_its_close(name: str) -> None:
    body, said = read(name)
    symbol, session = CLOSES[name]
    (row,) = parse_closes(body, [symbol], adjusted=True).rows
    (bar,) = said["results"]
    assert (row.symbol, date_of(row.session), row.close, row.volume) == (symbol, session, bar["c"], bar["v"])
    # 16:00 New York of the session, which begins sixteen hours before: no change of the clocks in between
    assert row.ts_event == bar["t"] * 1_000_000 - 16 * 3_600_000_000_000
    assert parse_closes(body, ["MSFT"], adjusted=True).rows == []


@pytest.mark.parametrize("name", QUOTES)
def test_quotes(name: str) -> None:
    body, said = read(name)
    page = parse_quotes(body, "AAPL")
    for row, q in zip(page.rows, said["results"], strict=True):
        assert row == QuoteRow(
            "AAPL",
            q["sip_timestamp"],
            q["bid_price"],
            q["bid_size"] * 100,  # of 2022: round lots
            q["ask_price"],
            q["ask_size"] * 100,
            str(q["bid_exchange"]),
            str(q["ask_exchange"]),
            ",".join(map(str, q.get("conditions", ()))),
            "C",
            q["sequence_number"],
        )
    assert page.next_url == said.get("next_url", "")


def test_the_last_quote() -> None:
    body, said = read(LAST)
    q = said["results"]
    (row,) = parse_last_quote(body, "AAPL").rows
    # lower case is the bid
    assert (row.bid, row.bid_size, row.bid_venue) == (q["p"], q["s"] * 100, str(q["x"]))
    assert (row.ask, row.ask_size, row.ask_venue) == (q["P"], q["S"] * 100, str(q["X"]))
    assert (row.ts_event, row.seq, row.tape) == (q["t"], q["q"], "C")


@pytest.mark.parametrize(
    "changes",
    [
        {"adjusted": False},
        {"resultsCount": 3},
        {"ticker": "MSFT"},
        {"results": [{"o": 1, "h": 1, "l": 1, "c": 1, "v": 1}]},
        {"results": [{"t": "2005", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}]},
        {"results": [{"t": 1, "o": "1", "h": 1, "l": 1, "c": 1, "v": 1}]},
    ],
    ids=str,
)
def test_a_recording_with_a_mistake_is_malformed(changes: dict[str, Any]) -> None:
    _, said = read(next(iter(DAYS)))
    with pytest.raises(Malformed):
        parse_bars(json.dumps(said | changes).encode(), "AAPL", daily=True, adjusted=True)
