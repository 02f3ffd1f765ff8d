"""What came of comparing a series, in words and as an outcome for the provider table."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.reconcile import Comparison, together
from providers.sessions import date_of
from schemas.outcome import Asked, ProviderOutcome
from sinks.reconciliation import Group
from streams.series import series_of

SECOND_NS = 1_000_000_000
#: as the contract of outcomes has it
MAX_DETAIL = 512


@dataclass(frozen=True, slots=True)
class Judgement:
    """One series, compared; or several that are too short to prove anything alone."""

    groups: tuple[Group, ...]
    """At least one; all of one provider."""
    comparison: Comparison
    by: tuple[str, ...]
    """Whose word it was compared with."""

    def describe(self) -> str:
        """Return one line: which series, how many bars, and one of them with both values."""
        seen, first = self.comparison, self.groups[0]
        more = f" and {len(self.groups) - 1} more" if len(self.groups) > 1 else ""
        said = (
            f"{series_of(first)} of {date_of(first.session)}{more}: {seen.wrong} of {seen.judged} bars"
            f" proved wrong or missing by {' and '.join(self.by) or 'nobody'}"
        )
        example = seen.example
        if example is None:
            return said
        at = datetime.fromtimestamp(example.ts // SECOND_NS, UTC)
        ratios = ", ".join(f"{name} {ratio:.0%}" for name, ratio in seen.ratios.items() if ratio)
        return (
            f"{said}; unconfirmed: {ratios}; {example.field} of {at:%Y-%m-%dT%H:%M:%SZ}:"
            f" {_value(example.served)} served, {_value(example.said)} said"
        )

    def outcome(self, now_ns: int, worker: str) -> ProviderOutcome | None:
        """Return it for the provider table; None: nothing can be proved either way."""
        share = self.comparison.incompleteness
        if share is None:
            return None
        first, series = self.groups[0], series_of(self.groups[0])
        return ProviderOutcome(
            provider=series.provider,
            id=uuid.uuid4().hex,
            ts=now_ns,
            purpose="proof",
            outcome="ok",
            rows=self.comparison.judged,
            incompleteness=share,
            asked=Asked(
                symbol=series.symbol,
                interval=series.interval,
                adjustment=series.adjustment,
                coverage=series.coverage,
                start=first.first_ns,
                end=first.last_ns + series.step_ns,
            ),
            worker=worker,
            detail=self.describe()[:MAX_DETAIL],
        )


def decisive(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Return those that prove something, and a provider's others as one: days are series of a bar or two."""
    told = [one for one in judgements if one.comparison.incompleteness is not None]
    short: dict[str, list[Judgement]] = {}
    for one in judgements:
        if one.comparison.incompleteness is None:
            short.setdefault(one.groups[0].provider, []).append(one)
    for some in short.values():
        groups = tuple(group for one in some for group in one.groups)
        names = dict.fromkeys(name for one in some for name in one.by)
        told.append(Judgement(groups, together(one.comparison for one in some), tuple(names)))
    return told


def _value(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.10g}"
