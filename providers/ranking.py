"""Whom this worker asks, with everything that it knows: capability, provider table, and what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.clock import Clock
from domain.holds import Holds
from domain.routing import NOTHING_KNOWN, Candidate, Decision, Standing, decide
from providers.capability import Access, Lack, can_serve
from providers.horizon import seen_from, seen_until
from providers.negative_cache import NegativeCache
from providers.serving import Request, Rules, Wants, kind_of
from providers.sessions import SECOND_NS
from schemas.provider import Coverage, ProviderName

Standings = Mapping[ProviderName, Standing]

#: an answer that broke the contract is the same a moment later
BROKEN_AGAIN_S: Final = 60.0
#: when a claim is looked at again that only somebody sick, or somebody who has just failed, could settle
SICK_AGAIN_S: Final = 30.0
CLAIM_AGAIN_S: Final = 5.0


class Ranking:
    """The order of providers for a request, here and now."""

    def __init__(self, accesses: Mapping[ProviderName, Access], clock: Clock) -> None:
        """Know nothing but what plans include."""
        self._accesses = accesses
        self._clock = clock
        self._limits: dict[ProviderName, tuple[float, str]] = {}
        self.holds = Holds()
        self.negatives = NegativeCache()

    def decide(
        self, request: Request, coverage: Coverage, wants: Wants, standings: Standings, rules: Rules
    ) -> Decision:
        """Return whom to ask for a coverage, and why not the others."""
        now_ns, now = self._clock.now_ns(), self._clock.monotonic()
        policy = rules.policies[kind_of(request)]
        candidates: dict[ProviderName, Candidate] = {}
        for provider in policy if wants.hint is None or wants.hint in policy else (wants.hint, *policy):
            access = self._accesses.get(provider)
            if access is None:
                continue
            lack = can_serve(access, request, now_ns=now_ns, coverage=coverage)
            held_s, why = (0.0, "") if lack else self._held(provider, request, now_ns, now)
            standing = standings.get(provider, NOTHING_KNOWN)
            candidates[provider] = Candidate(provider, lack, standing, held_s, why)
        return decide(policy, candidates, wants.hint)

    def limit(self, provider: ProviderName, seconds: float, why: str) -> None:
        """Leave a provider alone for so long; a longer time that was named before stays."""
        until = self._clock.monotonic() + seconds
        if until > self._limits.get(provider, (0.0, ""))[0]:
            self._limits[provider] = until, why

    def _held(self, provider: ProviderName, request: Request, now_ns: int, now: float) -> tuple[float, str]:
        """Return for how long a provider is left alone and why; nothing if it is not."""
        held = self._limits.get(provider, (0.0, ""))
        if (until := self.holds.until(provider)) > max(now, held[0]):
            held = until, "failures in a row here"
        refused = self.negatives.refused(provider, request, now_ns, now)
        if refused is not None and refused[0] > held[0]:
            held = refused
        return (held[0] - now, held[1]) if held[0] > now else (0.0, "")

    def cuts(self, request: Request, coverage: Coverage, decision: Decision) -> list[int]:
        """Return up to where a window that is too recent for everybody could be served, latest first.

        Args:
            request: that a decision found nobody for.
            coverage: that was asked for.
            decision: what it said.
        """
        now_ns = self._clock.now_ns()
        ends = {
            seen_until(access, request, now_ns, coverage)
            for verdict in decision.verdicts
            if (access := self._accesses.get(verdict.provider)) is not None
        }
        return sorted((end for end in ends if end is not None), reverse=True)

    def not_before_ns(
        self,
        request: Request,
        coverage: Coverage,
        standings: Standings,
        decision: Decision,
        broken: frozenset[ProviderName],
    ) -> int:
        """Return from when on somebody may serve a request that nobody serves now; 0: at any moment.

        Args:
            request: what was left.
            coverage: that was asked for.
            standings: the provider table: when somebody sick is well again nobody knows.
            decision: who was considered.
            broken: whose answers to the request broke their contract.
        """
        now_ns, now = self._clock.now_ns(), self._clock.monotonic()
        earliest: int | None = None
        for verdict in decision.verdicts:
            access = self._accesses.get(verdict.provider)
            if access is None:
                continue
            lack = can_serve(access, request, now_ns=now_ns, coverage=coverage)
            if lack is Lack.TOO_RECENT:
                at = seen_from(access, request, now_ns, coverage)
                if at is None:
                    continue
            elif lack is not None:
                continue
            elif not standings.get(verdict.provider, NOTHING_KNOWN).fit:
                return 0
            else:
                held_s, _ = self._held(verdict.provider, request, now_ns, now)
                wait_s = max(held_s, BROKEN_AGAIN_S if verdict.provider in broken else 0.0)
                if not wait_s:
                    return 0
                at = now_ns + round(wait_s * SECOND_NS)
            earliest = at if earliest is None else min(at, earliest)
        return earliest or 0

    def settled_ns(
        self,
        request: Request,
        coverage: Coverage,
        standings: Standings,
        decision: Decision,
        claimed: ProviderName,
    ) -> int | None:
        """Return from when on somebody else may confirm or refute what one provider claims; None: nobody can.

        Args:
            request: what was asked.
            coverage: that was asked for.
            standings: the provider table.
            decision: who was considered.
            claimed: who made the claim.
        """
        now_ns, now = self._clock.now_ns(), self._clock.monotonic()
        times = []
        for verdict in decision.verdicts:
            provider, access = verdict.provider, self._accesses.get(verdict.provider)
            if access is None or provider == claimed:
                continue
            lack = can_serve(access, request, now_ns=now_ns, coverage=coverage)
            if lack is Lack.TOO_RECENT:
                if (at := seen_from(access, request, now_ns, coverage)) is not None:
                    times.append(at)
            elif lack is None and self.negatives.refused(provider, request, now_ns, now) is None:
                held_s, _ = self._held(provider, request, now_ns, now)
                sick = not standings.get(provider, NOTHING_KNOWN).fit
                wait_s = max(held_s, SICK_AGAIN_S if sick else CLAIM_AGAIN_S)
                times.append(now_ns + round(wait_s * SECOND_NS))
        return min(times, default=None)
