"""How well a provider does, as a number from what it answered lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final

from schemas.outcome import FAILURES, NEUTRAL, OF_ROWS, ProviderOutcome, Purpose
from schemas.provider_health import HealthSample, HealthTerms, State

MAX_SAMPLES: Final = 100
"""Of a window; of a busy provider it holds less than `window_s`."""
SECOND_NS: Final = 1_000_000_000

#: part of the score that the state of the breaker is worth
BREAKER_TERM: Final[dict[State, float]] = {"closed": 1.0, "half_open": 0.4, "open": 0.0}
#: an answer of which so much is missing or wrong has failed, whatever its status says
INCOMPLETE: Final = 0.5


#: the rows of a probe are compared like those of a proof
PROVED: Final[frozenset[Purpose]] = frozenset({"proof", "probe"})


@dataclass(frozen=True, slots=True)
class HealthRules:
    """When a provider is well. The defaults are those of the settings."""

    demote: float = 0.55
    promote: float = 0.70
    latency_cap_ms: float = 2_000.0
    window_s: float = 60.0
    weights: tuple[float, ...] = (0.45, 0.25, 0.20, 0.10)
    """Of breaker, latency, errors, completeness; together 1."""
    trip_failures: int = 3
    cooldown_s: float = 60.0
    min_samples: int = 3


def failed(outcome: ProviderOutcome) -> bool:
    """Return whether it speaks against the provider: no usable answer, or half of it missing or wrong.

    What is proved speaks against it however small the part: too little to prove anything comes as 0.
    """
    share = outcome.incompleteness
    return outcome.outcome in FAILURES or (
        share is not None and (share > 0 if outcome.purpose in PROVED else share >= INCOMPLETE)
    )


def sample(outcome: ProviderOutcome, now_ns: int) -> HealthSample | None:
    """Return what the score needs of an outcome that was recorded at `now_ns`; None if it says nothing.

    A judgement always says something: it is about rows, not about an answer.
    """
    judgement = outcome.purpose in OF_ROWS
    if outcome.outcome in NEUTRAL and not judgement:
        return None
    return HealthSample.model_construct(
        ts=now_ns,
        failed=failed(outcome),
        latency_ms=None if judgement else outcome.latency_ms,
        incompleteness=outcome.incompleteness,
    )


def windowed(samples: Sequence[HealthSample], now_ns: int, rules: HealthRules) -> tuple[HealthSample, ...]:
    """Return the samples that count at `now_ns`: not older than the window, the last `MAX_SAMPLES` at most.

    Args:
        samples: oldest first. A tuple of which nothing is dropped is returned as it is.
        now_ns: nanoseconds since the epoch, UTC.
        rules: how long the window is.
    """
    oldest = now_ns - int(rules.window_s * SECOND_NS)
    first = max(0, len(samples) - MAX_SAMPLES)
    while first < len(samples) and samples[first].ts < oldest:
        first += 1
    if first == 0 and isinstance(samples, tuple):
        return samples
    return tuple(samples[first:])


def counted(samples: Sequence[HealthSample]) -> tuple[int, int]:
    """Return how many of the window's answers failed, and how many there are.

    A judgement adds to the failures but is no answer of its own: else one that is served wrong, and told so
    afterwards, would count as one failure in two. Only where there are fewer answers than judgements (what
    is judged was served long ago) the judgements are the whole.
    """
    failures = judgements = 0
    for s in samples:
        if s.failed:
            failures += 1
        if s.latency_ms is None:
            judgements += 1
    whole = max(len(samples) - judgements, judgements)
    return min(failures, whole), whole


def terms(samples: Sequence[HealthSample], state: State, rules: HealthRules) -> HealthTerms:
    """Return what the score is made of.

    A failed sample counts as one as slow as the cap, however fast the failure came, and if it was judged, as
    one that brought nothing. So no failure raises a term. A term that no sample speaks of is 1.
    """
    cap = rules.latency_cap_ms
    latencies = []
    judged = missing = 0.0
    for s in samples:
        if s.latency_ms is not None:
            latencies.append(cap if s.failed else s.latency_ms)
        if s.incompleteness is not None:
            judged += 1
            missing += 1 if s.failed else s.incompleteness
    failures, whole = counted(samples)
    latency = 1.0
    if latencies:
        latencies.sort()
        # the nearest rank: a value that was measured, none between two
        latency = max(0.0, 1 - latencies[(95 * len(latencies) - 1) // 100] / cap)
    return HealthTerms.model_construct(
        breaker=BREAKER_TERM[state],
        latency=latency,
        errors=1 - failures / whole if whole else 1.0,
        completeness=1 - missing / judged if judged else 1.0,
    )


def score(terms: HealthTerms, weights: Sequence[float]) -> float:
    """Return the health, from 0 to 1, of weights that add up to 1."""
    breaker, latency, errors, completeness = weights
    # summed exactly: four full terms are 1, not a hair less
    total = fsum(
        (
            breaker * terms.breaker,
            latency * terms.latency,
            errors * terms.errors,
            completeness * terms.completeness,
        )
    )
    return min(1.0, max(0.0, total))
