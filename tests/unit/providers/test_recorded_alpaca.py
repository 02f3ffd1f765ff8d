"""Real answers of alpaca, recorded by others: each is parsed, or listed with the reason why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.alpaca.parse import parse_bars, parse_latest_quotes, parse_quotes
from providers.base import BarRow, QuoteRow
from schemas.errors import Malformed
from tests.unit.providers.recordings import files, recorded

BARS = {
    "getbars_1.json": "minutes",
    "getbars_adjustment_1.json": "days",
    "getbars_asof_1.json": "days",
    "getbars_asof_2.json": "days",
    "getmultibars_1.json": "days",
    "py_get_bars_1.json": "days",
    "py_get_bars_desc_1.json": "days",
    "py_get_bars_multi_empty_response_1.json": "days",
    "py_get_bars_single_empty_response_1.json": "minutes",
}
QUOTES = (
    "getmultiquotes_1.json",
    "getquotes_1.json",
    "getquotes_2.json",
    "getquotes_sortdesc_1.json",
    "py_get_quotes_1.json",
    "py_get_quotes_multi_empty_response_1.json",
)
LATEST = (
    "latestquote_1.json",
    "latestquotes_1.json",
    "py_get_latest_quote_1.json",
    "py_get_latest_quote_multi_empty_response_1.json",
)
#: kinds of answers that no request of ours has: trades come by the feed, a latest bar by its window
NOT_COVERED = ("trade", "latestbar", "latest_bar", "snapshot")


def ns(text: str) -> int:
    """Read a timestamp without our parser."""
    seconds, _, decimals = text.removesuffix("Z").partition(".")
    whole = int(datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp())
    return whole * 1_000_000_000 + int(decimals.ljust(9, "0") or 0)


def read(name: str) -> tuple[bytes, Any]:
    body = (recorded("alpaca") / name).read_bytes()
    return body, json.loads(body)


def test_every_recording_is_read_or_its_kind_is_not_asked_for() -> None:
    rest = files(recorded("alpaca")) - {*BARS, *QUOTES, *LATEST}
    assert all(any(kind in name for kind in NOT_COVERED) for name in rest), rest


@pytest.mark.parametrize("name", BARS)
def test_bars(name: str) -> None:
    body, said = read(name)
    page = parse_bars(body, "alpaca", daily=BARS[name] == "days")
    assert page.token == (said["next_page_token"] or "")
    for symbol, bars in said["bars"].items():
        for row, bar in zip(page.rows[symbol], bars, strict=True):
            ts = ns(bar["t"])
            # all recorded days begin at 04:00 or 05:00 UTC, which is midnight in New York of the same date
            session = ts // 86_400_000_000_000 if BARS[name] == "days" else 0
            prices = (bar["o"], bar["h"], bar["l"], bar["c"])
            assert row == BarRow(symbol, ts, *prices, bar["v"], bar["vw"], bar["n"], session)
    assert page.rows.keys() == said["bars"].keys()


def quote(symbol: str, q: dict[str, Any]) -> QuoteRow:
    """Return a quote of before November 2025: its sizes are round lots."""
    return QuoteRow(
        symbol,
        ns(q["t"]),
        q["bp"],
        q["bs"] * 100,
        q["ap"],
        q["as"] * 100,
        q["bx"],
        q["ax"],
        "".join(q["c"]),
        q.get("z", ""),
    )


@pytest.mark.parametrize("name", QUOTES)
def test_quotes(name: str) -> None:
    body, said = read(name)
    page = parse_quotes(body, "alpaca")
    assert page.token == (said["next_page_token"] or "")
    for symbol, quotes in said["quotes"].items():
        for row, q in zip(page.rows[symbol], quotes, strict=True):
            assert row == _one_sided(quote(symbol, q))
    assert page.rows.keys() == said["quotes"].keys()


def _one_sided(row: QuoteRow) -> QuoteRow:
    """A price of 0 is no price: recorded quotes have some."""
    bid = {} if row.bid else {"bid": None, "bid_size": None, "bid_venue": ""}
    ask = {} if row.ask else {"ask": None, "ask_size": None, "ask_venue": ""}
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return QuoteRow(**fields | bid | ask)


@pytest.mark.parametrize("name", LATEST)
def test_latest_quotes(name: str) -> None:
    body, said = read(name)
    rows = parse_latest_quotes(body, "alpaca").rows
    assert rows == {symbol: [_one_sided(quote(symbol, q))] for symbol, q in said["quotes"].items()}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("getbars_1.json", ('"o":3378.14', '"o":"3378.14"')),
        ("getbars_1.json", ('"t":"2021-10-15T16:00:00Z"', '"t":1634313600')),
        ("getbars_1.json", ('"t":"2021-10-15T16:00:00Z"', '"t":"2021-10-15 16:00"')),
        ("getbars_1.json", ('"h":3380.815,', "")),
        ("getbars_1.json", (',"next_page_token":null', "")),
    ],
)
def test_a_recording_with_a_mistake_is_malformed(name: str, changes: tuple[str, str]) -> None:
    body, _ = read(name)
    text = body.decode()
    assert changes[0] in text
    with pytest.raises(Malformed):
        parse_bars(text.replace(*changes).encode(), "alpaca", daily=False)
