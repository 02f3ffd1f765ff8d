"""Finnhub's answers to rows: pure functions of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from providers.answers import Answer
from providers.base import BarRow, QuoteRow
from providers.finnhub.errors import PROVIDER, refusal
from providers.sessions import SECOND_NS, midnight_ns
from schemas.errors import Malformed, NotFound

MS_NS = 1_000_000
DAY_S = 86_400

Body = TypeVar("Body", bound=msgspec.Struct)
Numbers = list[float] | None


class _Candles(msgspec.Struct):
    s: str
    t: list[int] | None = None
    o: Numbers = None
    h: Numbers = None
    l: Numbers = None  # noqa: E741 - finnhub's name
    c: Numbers = None
    v: Numbers = None


class _BidAsk(msgspec.Struct):
    t: int
    b: float | None = None
    bv: float | None = None
    a: float | None = None
    av: float | None = None


class _Nbbo(msgspec.Struct):
    s: str
    skip: int
    count: int
    total: int
    t: list[int] | None = None
    b: Numbers = None
    bv: Numbers = None
    bx: list[str] | None = None
    a: Numbers = None
    av: Numbers = None
    ax: list[str] | None = None
    c: list[list[str]] | None = None


class _Quote(msgspec.Struct):
    c: float
    h: float
    l: float  # noqa: E741 - finnhub's name
    o: float
    pc: float
    t: int


@dataclass(frozen=True, slots=True)
class Last:
    """The last trade and the day so far; there is no bid and no ask in it."""

    symbol: str
    ts_event: int
    """Nanoseconds since the epoch, of whole seconds."""
    price: float
    open: float
    high: float
    low: float
    previous_close: float


@dataclass(frozen=True, slots=True)
class NbboPage:
    """Quotes of one day, from a place in it."""

    rows: list[QuoteRow]
    count: int
    """Less than asked for: this was the last page."""


def parse_candles(body: bytes, symbol: str, *, daily: bool) -> list[BarRow]:
    """Return the bars of ``/stock/candle``, as they stand in it.

    Args:
        body: of an answer with status 200.
        symbol: canonical, as asked for.
        daily: whether days were asked for: the date in UTC is the session's, whatever the time of day.

    Raises:
        Malformed: it breaks finnhub's contract.
        ProviderError: it is a refusal.
    """
    candles = _read(body, _Candles)
    if candles.s == "no_data":
        return []
    if candles.s != "ok":
        raise Malformed(f"s: {candles.s[:20]}", provider=PROVIDER, raw=body)
    t = candles.t
    columns = (candles.o, candles.h, candles.l, candles.c, candles.v)
    o, h, l, c, v = (_column(column, t, name, body) for name, column in zip("ohlcv", columns, strict=True))  # noqa: E741
    assert t is not None
    if daily:
        return [
            BarRow(symbol, midnight_ns(day := t[i] // DAY_S), o[i], h[i], l[i], c[i], v[i], None, None, day)
            for i in range(len(t))
        ]
    return [BarRow(symbol, t[i] * SECOND_NS, o[i], h[i], l[i], c[i], v[i], None, None) for i in range(len(t))]


def parse_bidask(body: bytes, symbol: str) -> list[QuoteRow]:
    """Return the quote of ``/stock/bidask``, if it has a side at all.

    Raises:
        Malformed: it breaks finnhub's contract.
        ProviderError: it is a refusal.
    """
    q = _read(body, _BidAsk)
    bid, bid_size = _side(q.b, q.bv)
    ask, ask_size = _side(q.a, q.av)
    if bid is None and ask is None:
        return []
    return [QuoteRow(symbol, q.t * MS_NS, bid, bid_size, ask, ask_size)]


def parse_nbbo(body: bytes, symbol: str) -> NbboPage:
    """Return a page of ``/stock/bbo``.

    Raises:
        Malformed: it breaks finnhub's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Nbbo)
    if page.count == 0 and not page.t:
        return NbboPage([], 0)
    t = page.t
    b, bv, a, av = (
        _column(column, t, name, body)
        for name, column in (("b", page.b), ("bv", page.bv), ("a", page.a), ("av", page.av))
    )
    bx, ax = _column(page.bx, t, "bx", body), _column(page.ax, t, "ax", body)
    c = _column(page.c, t, "c", body)
    assert t is not None
    if page.count != len(t):
        raise Malformed(f"count: {page.count} for {len(t)} quotes", provider=PROVIDER, raw=body)
    rows = []
    for i, ms in enumerate(t):
        bid, bid_size = _side(b[i], bv[i])
        ask, ask_size = _side(a[i], av[i])
        venues = bx[i] if bid is not None else "", ax[i] if ask is not None else ""
        rows.append(QuoteRow(symbol, ms * MS_NS, bid, bid_size, ask, ask_size, *venues, ",".join(c[i])))
    return NbboPage(rows, page.count)


def parse_last(body: bytes, symbol: str) -> Last:
    """Return what ``/quote`` says.

    Raises:
        NotFound: nothing but zeros: that is how finnhub says so, with status 200.
        Malformed: it breaks finnhub's contract.
        ProviderError: it is a refusal.
    """
    q = _read(body, _Quote)
    if not q.c and not q.t:
        raise NotFound(f"{symbol}: a quote of zeros", provider=PROVIDER, status=200, raw=body)
    return Last(symbol, q.t * SECOND_NS, q.c, q.o, q.h, q.l, q.pc)


Value = TypeVar("Value")


def _column(column: list[Value] | None, t: list[int] | None, name: str, body: bytes) -> list[Value]:
    """Return a column that is there and as long as that of the times."""
    if column is None or t is None:
        raise Malformed(f"{name if t is not None else 't'}: missing", provider=PROVIDER, raw=body)
    if len(column) != len(t):
        raise Malformed(f"{name}: {len(column)} values for {len(t)} times", provider=PROVIDER, raw=body)
    return column


def _side(price: float | None, size: float | None) -> tuple[float | None, float | None]:
    """Return a side of a quote; price 0 is no side. In which unit sizes are is not said: taken as shares."""
    return (price, size) if price else (None, None)


def _read(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        said = refusal(Answer(200, {}, body), 0)
        if not isinstance(said, Malformed):
            raise said from None
        raise Malformed(str(exc), provider=PROVIDER, raw=body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refusal(Answer(200, {}, body), 0) from None
