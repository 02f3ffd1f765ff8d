"""One provider asked once: what came of it, for whoever asked, for the fleet, and for the next decision."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from domain.clock import Clock
from providers.base import BarsRequest, Provider
from providers.ranking import Ranking
from providers.serving import Attempt, Request, Result, Rules, kind_of
from schemas.base import EARLIEST_NS, LATEST_NS
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderAway,
    ProviderError,
    RateLimited,
    Transient,
)
from schemas.outcome import FAILURES, NEUTRAL, Asked, Outcome, ProviderOutcome, Purpose
from schemas.provider import Coverage, ProviderName

#: the code of `RateLimited` by which `providers.limits` says that no request was sent
OWN_BUDGET: Final = "budget"
#: the count of permits cannot be reached: a moment, as of any outage
NO_PERMIT_S: Final = 2.0
MAX_DETAIL: Final = 512
MAX_WORKER: Final = 128

_OUTCOMES: Mapping[type[ProviderError], Outcome] = {
    AuthFailed: "auth",
    EntitlementMissing: "entitlement",
    BadRequest: "bad_request",
    NotFound: "not_found",
    RateLimited: "rate_limited",
    ProviderAway: "away",
    Malformed: "malformed",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of asking."""

    provider: ProviderName
    outcome: Outcome
    request: Request
    asked_ns: int
    result: Result | None = None
    detail: str = ""


class Attempts:
    """Asks providers, and tells everybody whom it concerns how that went."""

    def __init__(
        self,
        clients: Mapping[ProviderName, Provider],
        ranking: Ranking,
        clock: Clock,
        report: Callable[[ProviderOutcome], None],
        worker: str,
    ) -> None:
        """Take the clients; whoever opened them closes them."""
        self._clients = clients
        self._ranking = ranking
        self._clock = clock
        self._report = report
        self._worker = worker[:MAX_WORKER]
        self._run = uuid.uuid4().hex
        self._numbers = count()

    async def ask(
        self,
        provider: ProviderName,
        request: Request,
        coverage: Coverage,
        job_id: str,
        rules: Rules,
        log: list[Attempt],
    ) -> Tried:
        """Ask one provider; its errors are outcomes.

        Args:
            provider: whom.
            request: for what.
            coverage: that it must have; anything else is a broken answer.
            job_id: for whom.
            rules: in force.
            log: where the attempt is added.
        """
        asked_ns, began = self._clock.now_ns(), self._clock.monotonic()
        result: Result | None = None
        error: ProviderError | Transient | None = None
        client = self._clients[provider]
        try:
            if isinstance(request, BarsRequest):
                result = await client.bars(request)
            else:
                result = await client.quotes(request)
            if mixed := _mixed(request, coverage, result):
                raise Malformed(mixed, provider=provider)
        except (ProviderError, Transient) as exc:
            error = exc
        now_ns, now = self._clock.now_ns(), self._clock.monotonic()
        took_ms = max(0.0, now - began) * 1_000
        rows = 0
        detail = ""
        if error is not None:
            result = None
            outcome, detail = outcome_of(error), str(error)[:MAX_DETAIL]
        else:
            assert result is not None
            rows = len(result.rows)
            outcome = "ok" if rows else "empty"
        log.append(Attempt(provider, outcome, rows, took_ms, now_ns, detail, len(request.symbols)))
        tried = Tried(provider, outcome, request, asked_ns, result, detail)
        self._learn(tried, error, rules, now_ns, now)
        if _was_sent(error, result):
            self._tell(tried, now_ns, took_ms / (result.requests if result is not None else 1), job_id)
        return tried

    def judge(self, tried: Tried, incompleteness: float, proof: Tried, job_id: str) -> None:
        """Tell the fleet how much was missing from an answer, as that of another provider proves."""
        asked = _asked(proof.request, proof.result)
        self._send(
            tried, self._clock.now_ns(), job_id, "judgement", asked=asked, incompleteness=incompleteness
        )

    def _learn(
        self, tried: Tried, error: ProviderError | Transient | None, rules: Rules, now_ns: int, now: float
    ) -> None:
        provider, ranking = tried.provider, self._ranking
        if isinstance(error, RateLimited):
            ranking.limit(provider, error.retry_after_s, tried.detail)
        elif isinstance(error, Transient):
            ranking.limit(provider, NO_PERMIT_S, tried.detail)
        elif isinstance(error, EntitlementMissing):
            ranking.negatives.refuse(provider, tried.request, now_ns, now, tried.detail)
        elif isinstance(error, NotFound):
            ranking.negatives.forget(provider, kind_of(tried.request), tried.request.symbols, now)
        elif tried.outcome not in NEUTRAL:
            # a refused key does not get better by asking more often
            trip = 1 if tried.outcome == "auth" else rules.trip_failures
            ranking.holds.note(provider, failed=tried.outcome in FAILURES, now=now, trip=trip)

    def _tell(self, tried: Tried, now_ns: int, latency_ms: float, job_id: str) -> None:
        asked = _asked(tried.request, tried.result)
        rows = len(tried.result.rows) if tried.result is not None else 0
        self._send(tried, now_ns, job_id, "job", asked=asked, latency_ms=latency_ms, rows=rows)

    def _send(
        self,
        tried: Tried,
        now_ns: int,
        job_id: str,
        purpose: Purpose,
        *,
        asked: Asked | None,
        latency_ms: float = 0.0,
        rows: int = 0,
        incompleteness: float | None = None,
    ) -> None:
        self._report(
            ProviderOutcome(
                provider=tried.provider,
                id=f"{self._run}.{next(self._numbers)}",
                ts=now_ns,
                purpose=purpose,
                outcome=tried.outcome,
                latency_ms=latency_ms,
                rows=rows,
                incompleteness=incompleteness,
                asked=asked,
                job_id=job_id,
                worker=self._worker,
                detail=tried.detail,
            )
        )


def outcome_of(error: ProviderError | Transient) -> Outcome:
    """Return the word for an error: `Transient` is our own count of permits that cannot be reached."""
    if isinstance(error, Transient):
        return "rate_limited"
    return next((word for kind, word in _OUTCOMES.items() if isinstance(error, kind)), "away")


def _was_sent(error: ProviderError | Transient | None, result: Result | None) -> bool:
    """Return whether the vendor had any part in it: the fleet is told of nothing else."""
    if isinstance(error, Transient) or (isinstance(error, RateLimited) and error.code == OWN_BUDGET):
        return False
    return result is None or result.requests > 0


def _mixed(request: Request, coverage: Coverage, result: Result) -> str:
    """Return what makes an answer another kind of data than what was asked for, if anything does."""
    if result.source.coverage != coverage:
        return f"coverage: {result.source.coverage}, not {coverage}"
    given = getattr(result, "adjustment", None)
    if isinstance(request, BarsRequest) and given != request.adjustment:
        return f"adjustment: {given}, not {request.adjustment}"
    return ""


def _asked(request: Request, result: Result | None) -> Asked | None:
    """Return what may be asked again as a probe: only what there are rows of, else none says nothing."""
    if result is None or not result.rows:
        return None
    start, end = request.start_ns, request.end_ns
    if start is not None and end is not None and not EARLIEST_NS <= start < end < LATEST_NS:
        return None
    symbol, coverage = result.rows[0].symbol, result.source.coverage
    if isinstance(request, BarsRequest):
        return Asked(
            symbol=symbol,
            interval=request.interval,
            adjustment=request.adjustment,
            coverage=coverage,
            start=start,
            end=end,
        )
    return Asked(symbol=symbol, coverage=coverage, start=start, end=end)
