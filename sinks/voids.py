"""Provisional bars of lesser coverage that the better source does not have: healing takes them away.

IEX may have printed in a minute that makes no bar by the rule of the consolidated tape. The row that stood
in for it is replaced by nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.provider import Adjustment, Interval
from sinks.database import Connection
from sinks.nanos import to_time


@dataclass(frozen=True, slots=True)
class Void:
    """A window of which the better source has said everything."""

    symbols: Sequence[str]
    interval: Interval
    adjustment: Adjustment
    start_ns: int
    """Nanoseconds since the epoch, UTC."""
    end_ns: int
    """Exclusive."""


DELETE = f"""
    delete from candles_intraday
    where symbol = any(%(symbols)s) and interval = %(interval)s and adjustment = %(adjustment)s
      and ts >= {to_time("%(start)s")} and ts < {to_time("%(end)s")}
      and coverage = 'iex' and not is_final and as_of is not null
"""  # noqa: S608 - constants of these modules


def write(connection: Connection, voids: Sequence[Void]) -> None:
    """Delete what nothing has replaced, after the better rows were written; not committed."""
    for void in voids:
        connection.execute(
            DELETE,
            {
                "symbols": list(void.symbols),
                "interval": void.interval,
                "adjustment": void.adjustment,
                "start": void.start_ns,
                "end": void.end_ns,
            },
        )
