"""Alpaca's answers to rows: pure functions of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from providers.alpaca.errors import refusal
from providers.answers import Answer
from providers.base import BarRow, QuoteRow
from providers.lots import side
from providers.rfc3339 import to_ns
from providers.sessions import session_of
from providers.symbols import ALPACA
from schemas.errors import Malformed

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows of one answer by canonical symbol, as they stand in it."""

    rows: dict[str, list[Row]]
    token: str = ""
    """Of the next page; empty on the last one. A short page is not the last one."""


class _Bar(msgspec.Struct, gc=False):
    t: str
    o: float
    h: float
    l: float  # noqa: E741 - alpaca's name
    c: float
    v: float
    n: int | None = None
    vw: float | None = None


class _Bars(msgspec.Struct):
    bars: dict[str, list[_Bar]] | None
    next_page_token: str | None


class _Quote(msgspec.Struct, gc=False):
    t: str
    bp: float
    ap: float
    bs: float
    #: the ask's size; `as` is a word of Python
    size: float = msgspec.field(name="as")
    bx: str = ""
    ax: str = ""
    c: tuple[str, ...] | None = None
    z: str = ""


class _Quotes(msgspec.Struct):
    quotes: dict[str, list[_Quote]] | None
    next_page_token: str | None


class _Latest(msgspec.Struct):
    quotes: dict[str, _Quote] | None


Body = TypeVar("Body")


def parse_bars(body: bytes, provider: str, *, daily: bool) -> Page[BarRow]:
    """Return a page of ``/v2/stocks/bars``.

    Args:
        body: of an answer with status 200.
        provider: who is asked, in errors.
        daily: whether days were asked for: they begin at 00:00 New York.

    Raises:
        Malformed: it breaks alpaca's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Bars, provider)
    make = _day if daily else _bar
    return Page(_named(page.bars or {}, make, body, provider), page.next_page_token or "")


def parse_quotes(body: bytes, provider: str) -> Page[QuoteRow]:
    """Return a page of ``/v2/stocks/quotes``.

    Raises:
        Malformed: it breaks alpaca's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Quotes, provider)
    return Page(_named(page.quotes or {}, _quote, body, provider), page.next_page_token or "")


def parse_latest_quotes(body: bytes, provider: str) -> Page[QuoteRow]:
    """Return the quotes of ``/v2/stocks/quotes/latest``, one of each symbol.

    Raises:
        Malformed: it breaks alpaca's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Latest, provider)
    quotes = {symbol: [quote] for symbol, quote in (page.quotes or {}).items()}
    return Page(_named(quotes, _quote, body, provider))


Item = TypeVar("Item", _Bar, _Quote)


def _named(
    items: Mapping[str, list[Item]], make: Callable[[str, Item], Row], body: bytes, provider: str
) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for spelled, of_symbol in items.items():
        symbol = ALPACA.canonical(spelled)
        try:
            rows[symbol] = [make(symbol, item) for item in of_symbol]
        except ValueError as exc:
            raise Malformed(f"{symbol} t: {exc}", provider=provider, raw=body) from None
    return rows


def _bar(symbol: str, bar: _Bar) -> BarRow:
    return BarRow(symbol, to_ns(bar.t), bar.o, bar.h, bar.l, bar.c, bar.v, bar.vw, bar.n)


def _day(symbol: str, bar: _Bar) -> BarRow:
    ts = to_ns(bar.t)
    return BarRow(symbol, ts, bar.o, bar.h, bar.l, bar.c, bar.v, bar.vw, bar.n, session_of(ts))


def _quote(symbol: str, quote: _Quote) -> QuoteRow:
    ts = to_ns(quote.t)
    bid, bid_size = side(quote.bp, quote.bs, ts)
    ask, ask_size = side(quote.ap, quote.size, ts)
    return QuoteRow(
        symbol,
        ts,
        bid,
        bid_size,
        ask,
        ask_size,
        # a letter stands beside price 0 too: nobody quotes there
        quote.bx.strip() if bid else "",
        quote.ax.strip() if ask else "",
        "".join(quote.c or ()),
        quote.z,
    )


def _read(body: bytes, kind: type[Body], provider: str) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        raise Malformed(str(exc), provider=provider, raw=body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refusal(Answer(200, {}, body), 0, provider) from None
