"""Polygon's answers to rows: pure functions of bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from providers.answers import Answer
from providers.base import BarRow, QuoteRow
from providers.lots import side
from providers.polygon.errors import PROVIDER, refusal
from providers.sessions import midnight_ns, session_of
from providers.symbols import POLYGON
from schemas.errors import Malformed

MS_NS = 1_000_000
_TAPES = {1: "A", 2: "B", 3: "C"}

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows of one answer, as they stand in it."""

    rows: list[Row]
    next_url: str = ""
    """Absolute, without key; empty on the last page."""
    delayed: bool = False


class _Aggregate(msgspec.Struct, gc=False):
    t: int
    o: float
    h: float
    l: float  # noqa: E741 - polygon's name
    c: float
    v: float
    vw: float | None = None
    n: int | None = None
    T: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    status: str
    ticker: str = ""
    adjusted: bool | None = None
    results_count: int | None = None
    next_url: str = msgspec.field(default="", name="next_url")


class _Aggregates(_Envelope):
    results: list[_Aggregate] | None = None


class _Quote(msgspec.Struct, gc=False):
    sip_timestamp: int
    bid_price: float | None = None
    bid_size: float | None = None
    bid_exchange: int | None = None
    ask_price: float | None = None
    ask_size: float | None = None
    ask_exchange: int | None = None
    conditions: tuple[int, ...] | None = None
    sequence_number: int = 0
    tape: int = 0


class _Quotes(_Envelope):
    results: list[_Quote] | None = None


class _Nbbo(msgspec.Struct):
    T: str
    t: int
    p: float | None = None
    s: float | None = None
    x: int | None = None
    P: float | None = None
    S: float | None = None
    X: int | None = None
    c: tuple[int, ...] | None = None
    q: int = 0
    z: int = 0


class _LastQuote(_Envelope):
    results: _Nbbo | None = None


Body = TypeVar("Body", bound=_Envelope)


def parse_bars(body: bytes, symbol: str, *, daily: bool, adjusted: bool) -> Page[BarRow]:
    """Return a page of ``/v2/aggs/ticker/…/range``.

    Args:
        body: of an answer with status 200.
        symbol: canonical, as asked for.
        daily: whether days were asked for: they begin at 00:00 New York.
        adjusted: as asked for.

    Raises:
        Malformed: it breaks polygon's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Aggregates)
    if page.ticker and POLYGON.vendor(symbol) != page.ticker:
        raise Malformed(f"ticker: {page.ticker} for {symbol}", provider=PROVIDER, raw=body)
    results = _counted(page, body, adjusted=adjusted)
    if daily:
        rows = [
            BarRow(symbol, ts := a.t * MS_NS, a.o, a.h, a.l, a.c, a.v, a.vw, a.n, session_of(ts))
            for a in results
        ]
    else:
        rows = [BarRow(symbol, a.t * MS_NS, a.o, a.h, a.l, a.c, a.v, a.vw, a.n) for a in results]
    return Page(rows, page.next_url, page.status == "DELAYED")


def parse_closes(body: bytes, symbols: Collection[str], *, adjusted: bool) -> Page[BarRow]:
    """Return the day bars of ``/v2/aggs/ticker/…/prev`` or ``/v2/aggs/grouped/…``, in the answer's order.

    Here ``t`` is the close of the session; the rows have its start.

    Args:
        body: of an answer with status 200.
        symbols: canonical; others are left out.
        adjusted: as asked for.

    Raises:
        Malformed: it breaks polygon's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Aggregates)
    results = _counted(page, body, adjusted=adjusted)
    canonical = {POLYGON.vendor(symbol): symbol for symbol in symbols}
    rows = [
        BarRow(symbol, midnight_ns(day), a.o, a.h, a.l, a.c, a.v, a.vw, a.n, day)
        for a in results
        if (symbol := canonical.get(a.T)) and (day := session_of(a.t * MS_NS))
    ]
    return Page(rows, page.next_url, page.status == "DELAYED")


def parse_quotes(body: bytes, symbol: str) -> Page[QuoteRow]:
    """Return a page of ``/v3/quotes``.

    Raises:
        Malformed: it breaks polygon's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _Quotes)
    rows = [
        _quote(
            symbol,
            q.sip_timestamp,
            (q.bid_price, q.bid_size, q.bid_exchange),
            (q.ask_price, q.ask_size, q.ask_exchange),
            q.conditions,
            q.tape,
            q.sequence_number,
        )
        for q in page.results or ()
    ]
    return Page(rows, page.next_url, page.status == "DELAYED")


def parse_last_quote(body: bytes, symbol: str) -> Page[QuoteRow]:
    """Return the quote of ``/v2/last/nbbo``, if there is one.

    Raises:
        Malformed: it breaks polygon's contract.
        ProviderError: it is a refusal.
    """
    page = _read(body, _LastQuote)
    delayed = page.status == "DELAYED"
    if (q := page.results) is None:
        return Page([], delayed=delayed)
    if POLYGON.vendor(symbol) != q.T:
        raise Malformed(f"T: {q.T} for {symbol}", provider=PROVIDER, raw=body)
    return Page([_quote(symbol, q.t, (q.p, q.s, q.x), (q.P, q.S, q.X), q.c, q.z, q.q)], delayed=delayed)


def _quote(
    symbol: str,
    ts: int,
    bid: tuple[float | None, float | None, int | None],
    ask: tuple[float | None, float | None, int | None],
    conditions: tuple[int, ...] | None,
    tape: int,
    seq: int,
) -> QuoteRow:
    bid_price, bid_size = side(bid[0], bid[1], ts)
    ask_price, ask_size = side(ask[0], ask[1], ts)
    return QuoteRow(
        symbol,
        ts,
        bid_price,
        bid_size,
        ask_price,
        ask_size,
        # exchange 0 stands beside price 0: nobody
        str(bid[2]) if bid[2] and bid_price else "",
        str(ask[2]) if ask[2] and ask_price else "",
        ",".join(map(str, conditions or ())),
        _TAPES.get(tape, ""),
        seq,
    )


def _read(body: bytes, kind: type[Body]) -> Body:
    try:
        page = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        raise _no_page(body, str(exc)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refusal(Answer(200, {}, body), 0) from None
    if page.status not in ("OK", "DELAYED"):
        raise refusal(Answer(200, {}, body), 0)
    return page


def _no_page(body: bytes, why: str) -> Exception:
    """A refusal need not have the shape of a page; what is no refusal either is malformed."""
    said = refusal(Answer(200, {}, body), 0)
    return said if said.code not in ("", "OK", "DELAYED") else Malformed(why, provider=PROVIDER, raw=body)


def _counted(page: _Aggregates, body: bytes, *, adjusted: bool) -> list[_Aggregate]:
    results = page.results or []
    if page.results_count is not None and page.results_count != len(results):
        raise Malformed(
            f"resultsCount: {page.results_count} for {len(results)} results", provider=PROVIDER, raw=body
        )
    # an empty answer need not say how it is adjusted
    if (page.adjusted is not None or results) and page.adjusted != adjusted:
        raise Malformed(f"adjusted: {page.adjusted}, asked for {adjusted}", provider=PROVIDER, raw=body)
    return results
