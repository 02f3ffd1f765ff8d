"""A series that a vendor served: which of its bars can be held against it, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from typing_extensions import override

from domain.reconcile import Bars, Span
from providers.base import INTERVAL_NS, BarsRequest
from providers.sessions import regular_hours, session_of
from schemas.provider import Adjustment, Coverage, Interval, ProviderName
from sinks.reconciliation import Group, StoredBar

MINUTE_NS: Final = 60_000_000_000
FILLED_NS: Final = MINUTE_NS
"""A bar counts only if it was asked for so long after its end: until then prints still arrive."""
SETTLED_NS: Final = 16 * MINUTE_NS
"""A bar is compared only so long after its end: by then vendors have taken in what came late, and plans with
a delay show it."""
OFFICIAL_NS: Final = (4 * 60 + 15) * MINUTE_NS
"""So long after the close, at 20:15 in New York, the bar of a day is complete; before, it is a part."""


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one kind and symbol, of one provider."""

    provider: ProviderName
    symbol: str
    interval: Interval
    adjustment: Adjustment
    coverage: Coverage

    @override
    def __str__(self) -> str:
        """Name it for the log."""
        return f"{self.symbol} {self.interval} {self.adjustment} {self.coverage}"

    @property
    def step_ns(self) -> int:
        """Length of a bar; of a day, which has none, the least that leads past its start."""
        return INTERVAL_NS.get(self.interval, MINUTE_NS)

    def request(self, window: Span, *, extended_hours: bool = True) -> BarsRequest:
        """Return the request for it."""
        return BarsRequest((self.symbol,), self.interval, *window, self.adjustment, extended_hours)

    def counts(self, ts: int, as_of: int, now_ns: int) -> bool:
        """Return whether a bar served at ``as_of`` can be compared with what is said of it at ``now_ns``."""
        if self.adjustment != "raw" and session_of(as_of) != session_of(now_ns):
            return False  # by now it may be adjusted for more
        opening, close = regular_hours(session_of(ts))
        if self.interval == "1d":
            complete = close + OFFICIAL_NS
            return complete <= as_of and complete + SETTLED_NS <= now_ns
        end = ts + self.step_ns
        # an hour with minutes before the opening: whether they are in it is not stored
        whole = not ts < opening < end
        return whole and end + FILLED_NS <= as_of and end + SETTLED_NS <= now_ns

    def served(self, rows: Sequence[StoredBar], after_ns: int, now_ns: int) -> tuple[Bars, list[Span], int]:
        """Return what counts of stored bars, where nothing was served, and when it was last asked.

        Args:
            rows: all of the symbol, interval and adjustment, other sources' too, by time.
            after_ns: only what was served later.
            now_ns: when others are asked.
        """
        found: dict[int, StoredBar] = {}
        holes: list[Span] = []
        asked, before = 0, None
        for row in rows:
            # None: folded from trades, no vendor's bar
            as_of = row.as_of if (row.provider, row.coverage) == (self.provider, self.coverage) else None
            if as_of is None or as_of <= after_ns or not self.counts(row.ts, as_of, now_ns):
                before = None
                continue
            # two bars of one answer, and no row of anybody in between: there it was asked and had nothing
            if before is not None and before.as_of == as_of and before.ts + self.step_ns < row.ts:
                holes.append((before.ts + self.step_ns, row.ts))
            found[row.ts], before = row, row
            asked = max(asked, as_of)
        return found, holes, asked


def series_of(group: Group) -> Series:
    """Return the series of what is stored."""
    return Series(
        cast("ProviderName", group.provider),
        group.symbol,
        cast("Interval", group.interval),
        cast("Adjustment", group.adjustment),
        cast("Coverage", group.coverage),
    )
