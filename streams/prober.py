"""Probes: a provider that nobody asks any more is asked now and then whether it is back.

Half-open is one provider's state in the whole fleet, and one worker keeps it: that one probes, one request
at a time, the next when the outcome of the last is in the table.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, Final

from mode import Service

from providers.attempts import OWN_BUDGET, outcome_of
from providers.base import BarsRequest, BarsResult, QuotesRequest, QuotesResult
from providers.capability import DAY_NS, Access, can_serve
from schemas.errors import ProviderError, RateLimited, Transient
from schemas.outcome import Asked, Outcome, ProviderOutcome
from schemas.provider import Adjustment, ProviderName
from schemas.provider_health import ProviderHealth

if TYPE_CHECKING:
    from streams.app import MarketApp

#: between two looks, and between two probes of one provider
LOOK_S: Final = 0.2
PAUSE_S: Final = 1.0
#: a probe that takes longer has failed
ANSWER_S: Final = 30.0
#: an outcome that is not in the table by then never comes: the broker was away
FOLDED_S: Final = 10.0
#: what refuses a probe here is looked at again after so long at most
REFUSED_S: Final = 5.0
#: asked when no job's question is known: everybody has it, every week
SYMBOL: Final = "AAPL"
ADJUSTMENTS: Final[tuple[Adjustment, ...]] = ("raw", "split", "all")
#: of a job's window: no probe fetches a year of minutes
LONGEST_NS: Final = 7 * DAY_NS

#: the provider answers, and this question is no use
GIVEN_UP: Final[frozenset[Outcome]] = frozenset(
    {"empty", "not_found", "entitlement", "bad_request", "malformed"}
)

Request = BarsRequest | QuotesRequest


def questions(
    access: Access, asked: Asked | None, now_ns: int, *, otherwise: Asked | None = None
) -> list[tuple[Request, Asked]]:
    """Return what a probe may ask, best first; only what the access can be served.

    Args:
        access: to the provider.
        asked: what a job asked it last, and was answered.
        now_ns: nanoseconds since the epoch.
        otherwise: what a job asked it last, answered or not.
    """
    start, end = now_ns - 8 * DAY_NS, now_ns - DAY_NS
    days = [Asked(symbol=SYMBOL, interval="1d", adjustment=a, start=start, end=end) for a in ADJUSTMENTS]
    candidates = [asked, *days, Asked(symbol=SYMBOL), *([] if asked else [otherwise])]
    found = [(request, a) for a in candidates if a is not None and (request := _request(a)) is not None]
    return [(request, a) for request, a in found if can_serve(access, request, now_ns=now_ns) is None]


def _request(asked: Asked) -> Request | None:
    symbols, start, end = (asked.symbol,), asked.start, asked.end
    if asked.interval is None:
        return QuotesRequest(symbols, start, end)
    if start is None or end is None:
        return None
    if asked.interval != "1d":
        start = max(start, end - LONGEST_NS)
    return BarsRequest(symbols, asked.interval, start, end, asked.adjustment)


class Prober(Service):
    """Probes the providers that this worker keeps."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app for its services."""
        super().__init__(**kw)
        self._app = app
        self._under_way: set[ProviderName] = set()
        self._not_before: dict[ProviderName, float] = {}
        """Monotonic seconds."""
        self._turns: dict[ProviderName, int] = {}
        """Questions given up because they brought no rows."""
        self._asked: dict[ProviderName, Asked] = {}
        """What a job asked last, as long as this worker remembers it."""

    @Service.task
    async def _look(self) -> None:
        services, clock = self._app.services, self._app.clock
        while not self.should_stop:
            now = clock.monotonic()
            for provider, health in services.health_keeper.kept.items():
                if health.asked is not None:
                    self._asked[provider] = health.asked
                due = health.state == "half_open" and now >= self._not_before.get(provider, 0.0)
                if due and provider not in self._under_way:
                    self._under_way.add(provider)
                    self.add_future(self._probe(provider, health))
            await self.sleep(LOOK_S)

    async def _probe(self, provider: ProviderName, health: ProviderHealth) -> None:
        clock = self._app.clock
        try:
            pause = await self._ask(provider, health)
        finally:
            self._under_way.discard(provider)
        self._not_before[provider] = clock.monotonic() + pause

    async def _ask(self, provider: ProviderName, health: ProviderHealth) -> float:
        """Probe once; return the seconds until the next."""
        services, clock = self._app.services, self._app.clock
        if provider not in services.clients:
            self.log.warning("%s is half-open, and this worker has no key to probe it with", provider)
            return 60.0
        access, known = services.vendors.accesses[provider], self._asked.get(provider)
        possible = questions(access, health.asked, clock.now_ns(), otherwise=known)
        if not possible:
            self.log.warning("%s is half-open, and its plan has nothing that a probe could ask", provider)
            return 60.0
        turn = self._turns.get(provider, 0)
        request, asked = possible[turn % len(possible)]
        begun = clock.monotonic()
        rows, requests, detail, wait_s = 0, 1, "", PAUSE_S
        result: BarsResult | QuotesResult | None = None
        try:
            async with asyncio.timeout(ANSWER_S):
                result = await self._answer(provider, request)
            rows, requests = len(result.rows), max(1, result.requests)
            outcome: Outcome = "ok" if rows else "empty"
        except TimeoutError:
            outcome, detail = "away", f"no answer within {ANSWER_S:.0f} s"
        except Transient as exc:
            self.log.debug("%s cannot be probed now: %s", provider, exc)
            return REFUSED_S
        except RateLimited as exc:
            if exc.code == OWN_BUDGET:
                return min(exc.retry_after_s, REFUSED_S)
            outcome, detail, wait_s = "rate_limited", str(exc), max(PAUSE_S, min(exc.retry_after_s, 60.0))
        except ProviderError as exc:
            outcome, detail = outcome_of(exc), str(exc)
        latency_ms, share = (clock.monotonic() - begun) * 1_000 / requests, None
        if rows and isinstance(request, BarsRequest) and isinstance(result, BarsResult):
            # a vendor that lies with status 200 would pass every probe that only looks at the status
            share = await services.reconciler.incompleteness(provider, request, result)
        if outcome in GIVEN_UP:
            self._turns[provider] = turn + 1
        probe = ProviderOutcome(
            provider=provider,
            id=uuid.uuid4().hex,
            ts=clock.now_ns(),
            purpose="probe",
            outcome=outcome,
            latency_ms=latency_ms,
            rows=rows,
            incompleteness=share,
            asked=asked,
            worker=self._app.worker_id[:128],
            detail=detail[:512],
        )
        self.log.info("probe of %s: %s %s", provider, outcome, detail)
        self._app.counters.providers.probes += 1
        services.outcomes.report(probe)
        try:
            async with asyncio.timeout(FOLDED_S):
                await services.health_keeper.until_folded(provider, probe.id)
        except TimeoutError:
            self.log.warning("the outcome of a probe of %s is not in the table yet", provider)
        return wait_s

    async def _answer(self, provider: ProviderName, request: Request) -> BarsResult | QuotesResult:
        client = self._app.services.clients[provider]
        return await (client.bars(request) if isinstance(request, BarsRequest) else client.quotes(request))
