"""Whom to ask: the order of the policy among those that can, are well and may be asked now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.health import SECOND_NS
from schemas.provider import ProviderName
from schemas.provider_health import ProviderHealth

#: the one lack that time mends: a plan with a delay has it later
_PASSING = "too_recent"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the provider table says of a provider."""

    fit: bool
    score: float
    reason: str
    """For people: "fit, score 0.93", "open since 14:30:05Z: 3 failures in a row, the last: away (503)"."""
    retry_at_ns: int | None = None
    """Of an open one: when the first probe goes, nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that tapeflow has a key of."""

    provider: ProviderName
    lack: str | None
    """What the request needs and the provider never has, a word of `providers.capability.Lack`."""
    standing: Standing
    held_s: float = 0.0
    """Seconds for which this worker leaves it alone: no budget, a limit, failures here."""
    held_why: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a provider is asked, or is not."""

    provider: ProviderName
    fit: bool
    reason: str
    for_ever: bool
    """It cannot serve the request, now or later, unless somebody changes the configuration."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whom to ask, best first, and why."""

    order: tuple[ProviderName, ...]
    verdicts: tuple[Verdict, ...]
    """Of everybody that was considered, in the order of preference."""

    @property
    def never(self) -> bool:
        """Nobody can serve the request, now or later."""
        return bool(self.verdicts) and all(v.for_ever for v in self.verdicts)

    def explain(self) -> str:
        """Return all reasons in one line."""
        return "; ".join(f"{v.provider}: {v.reason}" for v in self.verdicts) or "the policy names nobody"


NOTHING_KNOWN = Standing(fit=True, score=1.0, reason="fit, nothing known yet")


def standing(health: ProviderHealth | None) -> Standing:
    """Return what a record of the table means for a decision; of no record, that nothing bad is known."""
    if health is None:
        return NOTHING_KNOWN
    if health.state == "closed":
        return Standing(fit=True, score=health.score, reason=f"fit, score {health.score:.2f}")
    if health.state == "half_open":
        return Standing(fit=False, score=health.score, reason=f"half-open: {health.reason}")
    since = datetime.fromtimestamp(health.since // SECOND_NS, UTC)
    return Standing(
        fit=False,
        score=health.score,
        reason=f"open since {since:%H:%M:%S}Z: {health.reason}",
        retry_at_ns=health.retry_at,
    )


def decide(
    policy: Sequence[ProviderName],
    candidates: Mapping[ProviderName, Candidate],
    hint: ProviderName | None = None,
) -> Decision:
    """Return whom to ask.

    Args:
        policy: of the kind of data, best first.
        candidates: those with a key; one of the policy that is not among them has none.
        hint: whom to ask first if it is fit. It need not be in the policy; without a key it is ignored.
    """
    preferred = tuple(policy)
    if hint is not None and (hint in preferred or hint in candidates):
        preferred = (hint, *(p for p in preferred if p != hint))
    verdicts = tuple(_verdict(provider, candidates.get(provider)) for provider in preferred)
    return Decision(tuple(v.provider for v in verdicts if v.fit), verdicts)


def _verdict(provider: ProviderName, candidate: Candidate | None) -> Verdict:
    if candidate is None:
        return Verdict(provider, fit=False, reason="no key", for_ever=False)
    if candidate.lack is not None:
        for_ever = candidate.lack != _PASSING
        words = candidate.lack.replace("_", " ")
        reason = f"lacks {words}" if for_ever else words
        return Verdict(provider, fit=False, reason=reason, for_ever=for_ever)
    if not candidate.standing.fit:
        return Verdict(provider, fit=False, reason=candidate.standing.reason, for_ever=False)
    if candidate.held_s > 0:
        why = candidate.held_why or "held"
        return Verdict(provider, fit=False, reason=f"{why}, for {candidate.held_s:.1f} s", for_ever=False)
    return Verdict(provider, fit=True, reason=candidate.standing.reason, for_ever=False)
