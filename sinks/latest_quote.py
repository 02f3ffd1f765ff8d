"""The last quote of one symbol that is stored, for whoever asks a page."""

from __future__ import annotations

from domain.quote_flags import NAMES
from schemas.quote import L1Quote
from sinks.database import Connection

LATEST = """
    select symbol, ts_ns, n, provider, bid, bid_size, ask, ask_size, feed, seq, flags
    from latest_quotes where symbol = %s
"""


def read(connection: Connection, symbol: str) -> L1Quote | None:
    """Return what `latest_quotes` has of a symbol; None if nothing.

    Venues, conditions, tape and `ts_recv` are not stored; `n` is 0 if the quote was fetched.

    Args:
        connection: to read by; no transaction is left open.
        symbol: canonical.
    """
    row = connection.execute(LATEST, (symbol,)).fetchone()
    connection.rollback()
    if row is None:
        return None
    symbol, ts_ns, n, provider, bid, bid_size, ask, ask_size, feed, seq, flags = row
    return L1Quote(
        symbol, ts_ns, n, provider, bid, bid_size, ask, ask_size, feed, seq=seq, flags=NAMES[flags]
    )
