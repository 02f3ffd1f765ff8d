"""How polygon writes bars, quotes and trades."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.market.records import Quote, Trade
from sandbox.market.views import Row, lots
from sandbox.vendors.vendor import number

HOST = "https://api.massive.com"
MILLI_NS = 1_000_000
EXCHANGES = {"D": 4, "K": 8, "N": 10, "P": 11, "Q": 12, "V": 15, "Y": 18, "Z": 19, " ": 0}
TAPES = {"A": 1, "B": 2, "C": 3}
TRF = 202
#: the participant's clock is before the tape's
PARTICIPANT_NS = 210_000


def bar(row: Row) -> dict[str, Any]:
    """Write a row of aggregates."""
    return {
        "v": number(row.volume),
        "vw": number(row.vwap),
        "o": number(row.open),
        "c": number(row.close),
        "h": number(row.high),
        "l": number(row.low),
        "t": row.ts_ns // MILLI_NS,
        "n": row.count,
    }


def last_quote(quote: Quote, tape: str) -> dict[str, Any]:
    """Write the results of the last NBBO."""
    return {
        "p": number(quote.bid),
        "s": lots(quote.bid_size, quote.ts_ns),
        "x": EXCHANGES[quote.bid_venue],
        "P": number(quote.ask),
        "S": lots(quote.ask_size, quote.ts_ns),
        "X": EXCHANGES[quote.ask_venue],
        "z": TAPES[tape],
        "T": quote.symbol,
        "t": quote.ts_ns,
        "y": quote.ts_ns - PARTICIPANT_NS,
        "q": quote.seq,
    }


def quote_row(quote: Quote, tape: str) -> dict[str, Any]:
    """Write a row of historical quotes; a side that is not there is 0."""
    return {
        "ask_exchange": EXCHANGES[quote.ask_venue],
        "ask_price": number(quote.ask),
        "ask_size": lots(quote.ask_size, quote.ts_ns),
        "bid_exchange": EXCHANGES[quote.bid_venue],
        "bid_price": number(quote.bid),
        "bid_size": lots(quote.bid_size, quote.ts_ns),
        "participant_timestamp": quote.ts_ns - PARTICIPANT_NS,
        "sequence_number": quote.seq,
        "sip_timestamp": quote.ts_ns,
        "tape": TAPES[tape],
    }


def conditions(trade: Trade) -> list[int]:
    """Return the numbers of its conditions; a regular sale has none."""
    return [sale.number for sale in trade.sales if sale.number]


def trade_row(trade: Trade, tape: str, *, corrected: bool) -> dict[str, Any]:
    """Write a row of historical trades."""
    row: dict[str, Any] = {}
    if found := conditions(trade):
        row["conditions"] = found
    if corrected:
        row["correction"] = 1
    row |= {
        "exchange": EXCHANGES[trade.venue],
        "id": str(trade.trade_id),
        "participant_timestamp": trade.ts_ns - PARTICIPANT_NS,
        "price": number(trade.price),
        "sequence_number": trade.seq,
        "sip_timestamp": trade.ts_ns,
        "size": number(trade.size),
        "tape": TAPES[tape],
    }
    if trade.venue == "D":
        row |= {"trf_id": TRF, "trf_timestamp": trade.arrival_ns}
    return row


def last_trade(trade: Trade, tape: str) -> dict[str, Any]:
    """Write the results of the last trade."""
    row: dict[str, Any] = {}
    if found := conditions(trade):
        row["c"] = found
    row |= {"i": str(trade.trade_id), "p": number(trade.price), "s": number(trade.size)}
    row["x"] = EXCHANGES[trade.venue]
    if trade.venue == "D":
        row["r"] = TRF
    row |= {"z": TAPES[tape], "T": trade.symbol, "t": trade.ts_ns, "y": trade.ts_ns - PARTICIPANT_NS}
    if trade.venue == "D":
        row["f"] = trade.arrival_ns
    row["q"] = trade.seq
    return row


def cursor(query: dict[str, str]) -> str:
    """Pack a query as polygon's cursors are: sorted, base64url, without padding."""
    packed = urlencode(sorted(query.items()))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def uncursor(text: str) -> dict[str, str] | None:
    """Unpack a cursor; None if it is none."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return dict(parse_qsl(base64.urlsafe_b64decode(padded).decode(), keep_blank_values=True))
    except ValueError:
        return None
