"""Tiingo's answers to rows: pure functions of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from providers.answers import Answer
from providers.base import BarRow, QuoteRow
from providers.iex.errors import PROVIDER, refusal
from providers.rfc3339 import to_ns
from providers.sessions import DAY_NS, midnight_ns
from providers.symbols import TIINGO
from schemas.errors import Malformed
from schemas.provider import Adjustment

#: of both sides of a quote: there is no other exchange in it
VENUE = "V"

Item = TypeVar("Item")


class _Minute(msgspec.Struct, gc=False):
    date: str
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Day(msgspec.Struct, rename="camel", gc=False):
    date: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    adj_open: float | None = None
    adj_high: float | None = None
    adj_low: float | None = None
    adj_close: float | None = None
    adj_volume: float | None = None
    split_factor: float | None = None


class _Top(msgspec.Struct, rename="camel", gc=False):
    ticker: str
    quote_timestamp: str | None = None
    bid_price: float | None = None
    bid_size: float | None = None
    ask_price: float | None = None
    ask_size: float | None = None


def parse_intraday(body: bytes, symbol: str) -> list[BarRow]:
    """Return the bars of ``/iex/…/prices``, asked for with the column of volumes: IEX's trades alone.

    Args:
        body: of an answer with status 200.
        symbol: canonical, as asked for.

    Raises:
        Malformed: it breaks Tiingo's contract.
        ProviderError: it is a refusal.
    """
    return [
        BarRow(symbol, _ns(m.date, body), m.open, m.high, m.low, m.close, m.volume, None, None)
        for m in _read(body, list[_Minute])
    ]


def parse_daily(body: bytes, symbol: str, adjustment: Adjustment) -> list[BarRow]:
    """Return the bars of ``/tiingo/daily/…/prices``: trades of all exchanges.

    Split-adjusted prices are not in it. They follow from the splits after each day, so for those the
    answer must reach to the newest day there is, whatever the window.

    Args:
        body: of an answer with status 200.
        symbol: canonical, as asked for.
        adjustment: ``all`` takes Tiingo's own columns: splits and dividends.

    Raises:
        Malformed: it breaks Tiingo's contract.
        ProviderError: it is a refusal.
    """
    days = _read(body, list[_Day])
    if adjustment == "raw":
        return [_row(symbol, d, body, (d.open, d.high, d.low, d.close, d.volume)) for d in days]
    if adjustment == "all":
        return [
            _row(symbol, d, body, (d.adj_open, d.adj_high, d.adj_low, d.adj_close, d.adj_volume))
            for d in days
        ]
    rows: list[BarRow] = []
    factor = 1.0
    for d in reversed(days):
        split = d.split_factor
        if split is None or not 0 < split < float("inf"):
            raise Malformed(f"splitFactor: {split} on {d.date}", provider=PROVIDER, raw=body)
        prices = (price / factor for price in (d.open, d.high, d.low, d.close))
        rows.append(_row(symbol, d, body, (*prices, d.volume * factor)))
        # the day of a split has the new prices already
        factor *= split
    return rows[::-1]


def parse_top(body: bytes, symbols: Sequence[str]) -> list[QuoteRow]:
    """Return the quotes of ``/iex/``, in the order of the symbols; a symbol without a side has none.

    Without an agreement with IEX, and after hours, both sides are null; a side of price 0 is not there.

    Args:
        body: of an answer with status 200.
        symbols: canonical; others are left out.

    Raises:
        Malformed: it breaks Tiingo's contract.
        ProviderError: it is a refusal.
    """
    rows: dict[str, QuoteRow] = {}
    for top in _read(body, list[_Top]):
        symbol = TIINGO.canonical(top.ticker)
        if not (top.bid_price or top.ask_price):
            continue
        if top.quote_timestamp is None:
            raise Malformed(f"{symbol}: quoteTimestamp: missing", provider=PROVIDER, raw=body)
        if symbol in rows:
            raise Malformed(f"{symbol}: twice", provider=PROVIDER, raw=body)
        bid, bid_size, bid_venue = _side(top.bid_price, top.bid_size)
        ask, ask_size, ask_venue = _side(top.ask_price, top.ask_size)
        ts = _ns(top.quote_timestamp, body)
        rows[symbol] = QuoteRow(symbol, ts, bid, bid_size, ask, ask_size, bid_venue, ask_venue)
    return [rows[symbol] for symbol in symbols if symbol in rows]


def _side(price: float | None, size: float | None) -> tuple[float | None, float | None, str]:
    return (price, size, VENUE) if price else (None, None, "")


def _row(symbol: str, day: _Day, body: bytes, values: tuple[float | None, ...]) -> BarRow:
    session, rest = divmod(_ns(day.date, body), DAY_NS)
    if rest:
        raise Malformed(f"date: {day.date} is not 00:00 UTC", provider=PROVIDER, raw=body)
    o, h, l, c, v = values  # noqa: E741 - as everywhere
    if o is None or h is None or l is None or c is None or v is None:
        raise Malformed(f"adj columns: missing on {day.date}", provider=PROVIDER, raw=body)
    return BarRow(symbol, midnight_ns(session), o, h, l, c, v, None, None, session)


def _ns(text: str, body: bytes) -> int:
    """Return a moment in one of Tiingo's three spellings: with Z, +00:00 or the offset of New York."""
    try:
        return to_ns(text)
    except ValueError as exc:
        raise Malformed(f"date: {exc}", provider=PROVIDER, raw=body) from None


def _read(body: bytes, kind: type[list[Item]]) -> list[Item]:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        # anything but a list says something, and never that there is nothing
        said = refusal(Answer(200, {}, body), 0)
        if not isinstance(said, Malformed):
            raise said from None
        raise Malformed(str(exc), provider=PROVIDER, raw=body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refusal(Answer(200, {}, body), 0) from None
