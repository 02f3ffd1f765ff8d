"""What other settings would have decided: recent outcomes, folded under both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.health import HealthRules
from domain.provider_state import fold, fresh, tick
from domain.routing import standing
from schemas.outcome import ProviderOutcome
from schemas.provider import Kind, ProviderName
from schemas.provider_health import ProviderHealth

Policies = Mapping[Kind, Sequence[ProviderName]]
_Pair = tuple[Sequence[ProviderName], Sequence[ProviderName]]
Recorded = tuple[int, int, ProviderOutcome]
"""Partition, when it was appended (nanoseconds since the epoch), the outcome."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch of time in which another provider would have been asked first."""

    from_ns: int
    to_ns: int
    """Exclusive; nanoseconds since the epoch, as `from_ns`."""
    kind: Kind
    now_first: ProviderName | None
    """None: nobody was fit."""
    new_first: ProviderName | None
    why: str
    """As of its beginning, for people."""


class _Table:
    """The provider table as it would be under some rules, from outcomes alone."""

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self._health: dict[ProviderName, ProviderHealth] = {}

    def take(self, outcome: ProviderOutcome, at_ns: int) -> bool:
        """Fold an outcome; return whether its provider came to another state."""
        name = outcome.provider
        before = self._health.get(name) or fresh(name, at_ns)
        now = tick(before, self._rules, at_ns)
        if now.state == "half_open" and outcome.purpose == "job":
            # no job would have gone there under these rules, but one did: a probe would have got the same
            outcome = outcome.model_copy(update={"purpose": "probe"})
        self._health[name] = now = fold(now, outcome, self._rules, now_ns=at_ns, position=before.position + 1)
        return now.state != before.state

    def first(self, policy: Sequence[ProviderName]) -> ProviderName | None:
        """Return who is asked first. Keys, plans and budgets are left out: they do not depend on settings."""
        return next((p for p in policy if self.why_not(p, policy) is None), None)

    def why_not(self, provider: ProviderName, policy: Sequence[ProviderName]) -> str | None:
        """Return what keeps a provider from being asked, None if nothing but a better one does."""
        if provider not in policy:
            return "not in the policy"
        known = standing(self._health.get(provider))
        return None if known.fit else known.reason


class _Comparison:
    """Two tables and two policies, and where they differ."""

    def __init__(self, now: _Table, new: _Table, policies: Mapping[Kind, _Pair]) -> None:
        self._now = now
        self._new = new
        self._policies = policies
        self._open: dict[Kind, Difference] = {}
        self._found: list[Difference] = []

    def compare(self, at_ns: int) -> None:
        """End the differences that are over and begin those that are new."""
        for kind, (now, new) in self._policies.items():
            firsts = self._now.first(now), self._new.first(new)
            last = self._open.get(kind)
            if last is not None and (last.now_first, last.new_first) == firsts:
                continue
            if last is not None:
                self._found.append(replace(self._open.pop(kind), to_ns=at_ns))
            if firsts[0] != firsts[1]:
                why = self._why(now, new, *firsts)
                self._open[kind] = Difference(at_ns, at_ns, kind, *firsts, why=why)

    def ended(self, at_ns: int) -> list[Difference]:
        """Return all differences, those that last until now among them."""
        found = [*self._found, *(replace(d, to_ns=at_ns) for d in self._open.values())]
        return sorted((d for d in found if d.to_ns > d.from_ns), key=lambda d: (d.from_ns, d.kind))

    def _why(
        self,
        now: Sequence[ProviderName],
        new: Sequence[ProviderName],
        first_now: ProviderName | None,
        first_new: ProviderName | None,
    ) -> str:
        if first_now is not None and (why := self._new.why_not(first_now, new)):
            return f"{first_now} under the new settings: {why}"
        if first_new is not None and (why := self._now.why_not(first_new, now)):
            return f"{first_new} under those in force: {why}"
        return f"the new policy has {first_new} before {first_now}"


def replay(
    outcomes: Iterable[Recorded],
    rules_now: HealthRules,
    rules_new: HealthRules,
    policies_now: Policies,
    policies_new: Policies,
) -> list[Difference]:
    """Return where the decisions of two settings differ, in the order of their beginning.

    Decisions are compared at each outcome: time alone makes nobody fit, and nobody unfit. Both tables begin
    with nothing known. What nobody asked, nobody can answer here: a provider that the new settings would have
    asked or probed while those in force left it alone stays as it was until somebody did.

    Args:
        outcomes: in any order of partitions; each partition in its own order.
        rules_now: in force.
        rules_new: the candidate.
        policies_now: in force, of every kind that is to be compared.
        policies_new: the candidate, of the same kinds.
    """
    recorded = sorted(outcomes, key=lambda r: (r[1], r[0]))
    if not recorded:
        return []
    now = _Table(rules_now)
    new = now if rules_new == rules_now else _Table(rules_new)
    tables = [now] if new is now else [now, new]
    comparison = _Comparison(now, new, {kind: (p, policies_new[kind]) for kind, p in policies_now.items()})
    comparison.compare(recorded[0][1])
    for _partition, at_ns, outcome in recorded:
        moved = [table.take(outcome, at_ns) for table in tables]
        if any(moved):
            comparison.compare(at_ns)
    return comparison.ended(recorded[-1][1])
