"""From one record of the provider table to the next: outcomes and time are folded to a provider's health.

Pure: the same outcomes at the same times make the same table, whoever folds them.
"""

from __future__ import annotations

from typing import Any, Final

from domain.breaker import Evidence, Step, by_outcome, by_time
from domain.health import SECOND_NS, HealthRules, failed, sample, score, terms, windowed
from schemas.outcome import NEUTRAL, OF_ROWS, Asked, ProviderOutcome
from schemas.provider import ProviderName
from schemas.provider_health import HISTORY, HealthPoint, ProviderHealth

HISTORY_STEP_S: Final = 10.0
"""Between two points of the history; a change of state makes one of its own."""
_STEP_NS: Final = int(HISTORY_STEP_S * SECOND_NS)


def fresh(provider: ProviderName, now_ns: int, *, partition: int = 0, position: int = 0) -> ProviderHealth:
    """Return the health of a provider of which nothing is known: fit."""
    return ProviderHealth(provider=provider, since=now_ns, ts=now_ns, partition=partition, position=position)


def fold(
    health: ProviderHealth, outcome: ProviderOutcome, rules: HealthRules, *, now_ns: int, position: int
) -> ProviderHealth:
    """Return the health after one more outcome.

    Args:
        health: before it.
        outcome: of this provider.
        rules: in force.
        now_ns: when the outcome was appended to its topic, by the broker's clock: the one that all agree on.
        position: where the topic's partition goes on after it, its offset plus one. If `health.position` is
            that far already, nothing changes.
    """
    if position <= health.position:
        return health
    if by_time(health, rules, now_ns) is not None:
        health = tick(health, rules, now_ns)
    update: dict[str, Any] = {"position": position, "ts": now_ns, "asked": _asked(health, outcome)}
    new = sample(outcome, now_ns)
    if new is None:
        return tick(health, rules, now_ns).model_copy(update=update)
    bad = failed(outcome)
    update["samples"] = samples = windowed((*health.samples, new), now_ns, rules)
    update["terms"] = now = terms(samples, health.state, rules)
    update["failures_in_row"] = row = _row(health.failures_in_row, outcome, bad=bad)
    update["passes"] = passes = _passes(health, outcome, bad=bad)
    step = by_outcome(health, Evidence(outcome, bad, row, passes, samples, now), rules, now_ns)
    return _moved(health, step, update, rules, now_ns)


def tick(health: ProviderHealth, rules: HealthRules, now_ns: int) -> ProviderHealth:
    """Return the health after nothing but time: itself, unless the time did something to it.

    The window slides, an open breaker becomes half-open, the history gets its next point.
    """
    step = by_time(health, rules, now_ns)
    samples = windowed(health.samples, now_ns, rules)
    if step is None and samples is health.samples and not _point_due(health, now_ns):
        return health
    return _moved(health, step, {"samples": samples, "ts": now_ns}, rules, now_ns)


def changed(old: ProviderHealth, new: ProviderHealth) -> bool:
    """Return whether every worker should know at once: another state, or another reason for it."""
    return old.state != new.state or old.reason != new.reason


def _row(before: int, outcome: ProviderOutcome, *, bad: bool) -> int:
    if bad:
        return before + 1
    # a good judgement is no answer: it says nothing of whether the provider is there now
    return before if outcome.purpose in OF_ROWS else 0


def _passes(health: ProviderHealth, outcome: ProviderOutcome, *, bad: bool) -> int:
    """Return the probes that went well in a row; jobs that were under way when it opened prove nothing."""
    if health.state != "half_open" or outcome.purpose != "probe":
        return health.passes
    return health.passes + 1 if outcome.outcome == "ok" and not bad else 0


def _asked(health: ProviderHealth, outcome: ProviderOutcome) -> Asked | None:
    """Return what the next probe asks: what a job did last, if it could be answered at all.

    What a probe got no rows of is not asked again: one series that the provider cannot serve must not bar
    it for ever. None leaves the choice to who probes.
    """
    if outcome.purpose == "probe":
        settled = outcome.outcome == "rate_limited" or (outcome.outcome == "ok" and not failed(outcome))
        return health.asked if settled else None
    if outcome.purpose in OF_ROWS or outcome.outcome in NEUTRAL:
        return health.asked
    return outcome.asked or health.asked


def _point_due(health: ProviderHealth, now_ns: int) -> bool:
    return not health.history or now_ns - health.history[-1].ts >= _STEP_NS


def _moved(
    health: ProviderHealth, step: Step | None, update: dict[str, Any], rules: HealthRules, now_ns: int
) -> ProviderHealth:
    """Return the health with a step of the breaker taken, and what follows from it: terms, score, history."""
    state = health.state if step is None else step.state
    update["ts"] = now_ns
    if step is not None:
        update["reason"] = step.reason
        if state != health.state:
            update |= {
                "state": state,
                "since": now_ns,
                "retry_at": step.retry_at,
                "transitions": health.transitions + 1,
                "passes": 0,
            }
    now = update.get("terms")
    if now is None or state != health.state:
        now = terms(update.get("samples", health.samples), state, rules)
    value = score(now, rules.weights)
    update |= {"terms": now, "score": value}
    if state != health.state or _point_due(health, now_ns):
        point = HealthPoint.model_construct(ts=now_ns, score=value)
        update["history"] = (*health.history, point)[-HISTORY:]
    return health.model_copy(update=update)
