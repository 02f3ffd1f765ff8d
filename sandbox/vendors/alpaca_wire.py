"""How alpaca writes bars, quotes and trades, and its page tokens."""

from __future__ import annotations

import base64
import zlib
from typing import Any

from sandbox.market.calendar import SECOND_NS
from sandbox.market.conditions import Sale
from sandbox.market.records import Quote, Trade
from sandbox.market.views import Row, lots
from sandbox.vendors.ask import read_instant, rfc3339
from sandbox.vendors.vendor import number

#: descending tokens count down from the end of time in whole seconds
END_NS = 9_223_372_036 * SECOND_NS
#: the id in a token of trades is moved into the upper half of 64 bits
UPPER = 1 << 63


def bar(row: Row) -> dict[str, Any]:
    """Write a bar."""
    return {
        "t": rfc3339(row.ts_ns),
        "o": number(row.open),
        "h": number(row.high),
        "l": number(row.low),
        "c": number(row.close),
        "v": int(row.volume),
        "n": row.count,
        "vw": number(row.vwap),
    }


def quote(found: Quote, tape: str) -> dict[str, Any]:
    """Write a quote; a side that is not there has price 0."""
    return {
        "t": rfc3339(found.ts_ns),
        "ax": found.ask_venue,
        "ap": number(found.ask),
        "as": lots(found.ask_size, found.ts_ns),
        "bx": found.bid_venue,
        "bp": number(found.bid),
        "bs": lots(found.bid_size, found.ts_ns),
        "c": ["R"],
        "z": tape,
    }


def conditions(found: Trade, tape: str) -> list[str]:
    """Return the letters: that of a regular sale first, then what is special."""
    special = [sale.letter(tape) for sale in found.sales if sale is not Sale.REGULAR]
    return [Sale.REGULAR.letter(tape), *special]


def size(found: Trade) -> int:
    """Return whole shares: fractions are cut off, and raised to one below one."""
    return max(1, int(found.size))


def trade(found: Trade, tape: str, update: str = "") -> dict[str, Any]:
    """Write a trade; ``update`` says what became of it."""
    row: dict[str, Any] = {
        "t": rfc3339(found.ts_ns),
        "x": found.venue,
        "p": number(found.price),
        "s": size(found),
        "c": conditions(found, tape),
        "i": found.trade_id,
        "z": tape,
    }
    return row | {"u": update} if update else row


def pack(text: str) -> str:
    """Make a token."""
    return base64.b64encode(text.encode()).decode()


def token(symbol: str, frame: str, ts_ns: int, rest: str = "", *, descending: bool) -> str:
    """Return the token that leads on from a row: ``AAPL|M|2022-01-03T09:00:00.000000000Z`` of minutes.

    Args:
        symbol: of the row.
        frame: letter of bars; empty of quotes and trades.
        ts_ns: of the row.
        rest: what tells rows of one instant apart.
        descending: tokens of that order count down.
    """
    seconds, nanos = divmod(ts_ns, SECOND_NS)
    at = str(END_NS - ts_ns) if descending else f"{rfc3339(seconds * SECOND_NS)[:-1]}.{nanos:09}Z"
    return pack("|".join(part for part in (symbol, frame, at, rest) if part))


def rest_of(row: Quote | Trade) -> str:
    """Return the part of a token that tells a quote or trade apart."""
    if isinstance(row, Trade):
        return f"{row.venue}|{UPPER + row.trade_id:020}"
    return f"{zlib.crc32(repr((row.bid, row.ask, row.seq)).encode()):08X}"


def read_token(text: str) -> tuple[str, int] | None:
    """Return symbol and instant of the last row that was sent; None if it is no token."""
    try:
        parts = base64.b64decode(text, validate=True).decode().split("|")
    except ValueError:
        return None
    for part in parts[1:3]:
        at = read_instant(part)
        if at is not None:
            return parts[0], at
        if part.isdigit() and len(part) > 12:
            return parts[0], END_NS - int(part)
    return None
