"""The breaker of a provider: closed, open, half-open, closed.

Closed lets jobs through. It opens on a row of failures, on a window half of which failed, on a score below
the threshold, at once on a refused key or on rows that are proved wrong. Open lets nothing through for a
cool-down. Half-open lets probes through, one at a time, until enough went well; the first failure opens it
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from domain.health import SECOND_NS, HealthRules, counted, score
from schemas.outcome import FAILURES, OF_ROWS, ProviderOutcome
from schemas.provider_health import HealthSample, HealthTerms, ProviderHealth, State

#: of what a provider said, in a reason
_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Step:
    """Where the breaker stands next; a state that it is in already is no transition."""

    state: State
    reason: str
    retry_at: int | None = None
    """Of an open one: nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when an outcome has just been counted."""

    outcome: ProviderOutcome
    failed: bool
    failures_in_row: int
    passes: int
    """Probes that went well in a row, this one included."""
    samples: Sequence[HealthSample]
    terms: HealthTerms
    """As in the state before."""


def by_time(health: ProviderHealth, rules: HealthRules, now_ns: int) -> Step | None:
    """Return what time alone does: after the cool-down an open breaker is half-open."""
    if health.state == "open" and health.retry_at is not None and now_ns >= health.retry_at:
        return Step("half_open", passed(0, rules))
    return None


def by_outcome(health: ProviderHealth, seen: Evidence, rules: HealthRules, now_ns: int) -> Step | None:
    """Return what an outcome does; None: the breaker stays as it is, its reason too."""
    if health.state == "closed":
        why = _trip(seen, rules)
    elif health.state == "half_open":
        if not seen.failed or seen.outcome.purpose in OF_ROWS:
            return _probed(health, seen, rules)
        why = f"{'a probe' if seen.outcome.purpose == 'probe' else 'an answer'} failed: {told(seen.outcome)}"
    else:
        return None
    if why is None:
        return None
    return Step("open", why, retry_at=now_ns + _cooldown_ns(health, rules))


def _trip(seen: Evidence, rules: HealthRules) -> str | None:
    """Return why a closed breaker opens, if it does."""
    last = f"the last: {told(seen.outcome)}"
    if seen.failed:
        # a refused key and a proved lie need no repetition
        if seen.outcome.outcome == "auth" or seen.outcome.purpose == "proof" or rules.trip_failures == 1:
            return told(seen.outcome)
        if seen.failures_in_row >= rules.trip_failures:
            return f"{seen.failures_in_row} failures in a row, {last}"
        failures, whole = counted(seen.samples)
        if whole >= 2 * rules.trip_failures and 2 * failures >= whole:
            return f"{failures} of {whole} answers failed, {last}"
    value = score(seen.terms, rules.weights)
    if value < rules.demote and len(seen.samples) >= rules.min_samples:
        return (
            f"score {value:.2f} is below {rules.demote:g}: latency {seen.terms.latency:.2f}, "
            f"errors {seen.terms.errors:.2f}, completeness {seen.terms.completeness:.2f}; {last}"
        )
    return None


def _probed(health: ProviderHealth, seen: Evidence, rules: HealthRules) -> Step | None:
    """Return what a half-open breaker does after something that did not fail."""
    if seen.passes == health.passes:
        return None
    if seen.passes < rules.min_samples:
        return Step("half_open", passed(seen.passes, rules))
    # As it would be if it were let through: with the 0.4 of a half-open one in it, an answer slower than an
    # eighth of the cap would bar a provider for ever.
    value = score(seen.terms.model_copy(update={"breaker": 1.0}), rules.weights)
    if value < rules.promote:
        return Step("half_open", f"{passed(seen.passes, rules)}, score {value:.2f} below {rules.promote:g}")
    return Step("closed", f"{seen.passes} probes passed, score {value:.2f}")


def passed(passes: int, rules: HealthRules) -> str:
    """Return how far a half-open breaker is, for people."""
    return f"{passes} of {max(passes, rules.min_samples)} probes passed"


def told(outcome: ProviderOutcome) -> str:
    """Return what happened, for people, in one line."""
    detail = " ".join(outcome.detail.split())
    if len(detail) > _DETAIL:
        detail = detail[:_DETAIL] + "…"
    said = f" ({detail})" if detail else ""
    if outcome.outcome in FAILURES or outcome.incompleteness is None:
        return outcome.outcome + said
    return f"{outcome.incompleteness:.0%} of the rows missing or wrong{said}"


def _cooldown_ns(health: ProviderHealth, rules: HealthRules) -> int:
    """Return how long to leave it alone: up to a fifth more than the setting.

    The part is drawn from what is the same for everybody who folds the same outcomes. Providers that fell
    together do not come back in the same moment.
    """
    part = crc32(f"{health.provider} {health.position} {health.transitions}".encode()) / 2**32
    return int(rules.cooldown_s * (1 + part / 5) * SECOND_NS)
