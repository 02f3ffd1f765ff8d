"""How often a vendor may be asked: one budget for each key, kept by every worker that shares the key.

A permit is leased just before its request leaves, so none is hoarded and none is wasted; requests that wait
together are leased together. Where the leases are counted is behind `Leases`: in this process, or for many
workers in the database (`sinks.budgets`).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from pyrate_limiter import InMemoryBucket, Rate, RateItem
from typing_extensions import override

from domain.clock import Clock
from providers.answers import Scope
from providers.gate import Gate
from schemas.errors import RateLimited, Transient
from schemas.provider import ProviderName

Share = Literal["live", "backfill"]

#: a vendor counts arrivals, we count departures: so much may lie between two of them, at most and at least
MAX_SLACK_S: Final = 1.0
MIN_SLACK_S: Final = 0.2
SLACK: Final = 0.05
"""Of the shortest window."""


class Window(NamedTuple):
    """So many requests in any span of so many seconds."""

    permits: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What one API key may be used for."""

    provider: ProviderName
    name: str
    """The same for everybody who uses the key; see `budget_name`."""
    windows: tuple[Window, ...]
    """All of them hold. Set a little below what the vendor grants."""
    live_share: float = 0.2
    """Of each window, kept free of backfills."""

    def __post_init__(self) -> None:
        """Check that both shares get something.

        Raises:
            ValueError: there is no window, one of no length, or one of less than two permits.
        """
        if not self.windows or any(w.permits < 2 or w.seconds <= 0 for w in self.windows):
            raise ValueError(f"{self.name}: a budget needs windows of at least two permits")
        if not 0 < self.live_share < 1:
            raise ValueError(f"{self.name}: the live share lies between 0 and 1")

    @property
    def slack_s(self) -> float:
        """Seconds by which every window is lengthened for what lies between lease and arrival."""
        return min(MAX_SLACK_S, max(MIN_SLACK_S, SLACK * min(w.seconds for w in self.windows)))

    def share(self, share: Share) -> tuple[Window, ...]:
        """Return the windows of one share, shortest first: longer ones grant more, but not at a higher rate.

        What others imply is left out, and what could never be used is not granted.
        """
        kept: list[tuple[int, int]] = []
        for permits, seconds in sorted(self.windows, key=lambda w: w.seconds):
            live = min(permits - 1, max(1, round(permits * self.live_share)))
            most = live if share == "live" else permits - live
            length_ms = math.ceil(round((seconds + self.slack_s) * 1_000, 3))
            if kept:
                most = min(most, kept[-1][0] * length_ms // kept[-1][1])
            while kept and kept[-1][0] >= most:
                kept.pop()
            kept.append((most, length_ms))
        return tuple(Window(permits, length_ms / 1_000) for permits, length_ms in kept)


def budget_name(vendor: str, key: str) -> str:
    """Return what a key's budget is called everywhere; the key cannot be had from it.

    Args:
        vendor: who counts: of IEX's data by way of Alpaca it is alpaca.
        key: of the API, or its id if it has one.
    """
    return f"{vendor}:{hashlib.sha256(key.encode()).hexdigest()[:16]}"


class Grant(NamedTuple):
    """What a lease gave."""

    permits: int
    """0, or at least what was asked for at least."""
    wait_s: float
    """With 0 permits: when to ask again; there need not be any then."""


class Leases(Protocol):
    """Where permits are counted."""

    async def lease(
        self, budget: str, share: Share, windows: Sequence[tuple[int, float]], *, least: int, wanted: int
    ) -> tuple[int, float]:
        """Take permits that count as used now.

        Args:
            budget: name of the budget.
            share: of it; the shares count apart.
            windows: permits and seconds of the share, shortest first.
            least: fewer are of no use.
            wanted: as many are of use.

        Returns:
            As `Grant`.

        Raises:
            Transient: the count cannot be reached.
        """

    async def block(self, budget: str, seconds: float) -> None:
        """Grant nothing of a budget for so long, in either share; never shortens a block."""


class LocalLeases(Leases):
    """Counts in memory: for one process alone."""

    def __init__(self, clock: Clock) -> None:
        """Start with nothing used."""
        self._clock = clock
        self._buckets: dict[tuple[str, Share], InMemoryBucket] = {}
        self._blocked: dict[str, float] = {}

    @override
    async def lease(
        self, budget: str, share: Share, windows: Sequence[tuple[int, float]], *, least: int, wanted: int
    ) -> Grant:
        now = self._clock.monotonic()
        if (blocked := self._blocked.get(budget, 0.0) - now) > 0:
            return Grant(0, blocked)
        bucket = self._buckets.get((budget, share))
        if bucket is None:
            rates = [Rate(permits, round(seconds * 1_000)) for permits, seconds in windows]
            bucket = self._buckets[budget, share] = InMemoryBucket(rates)
        at = math.floor(now * 1_000)
        bucket.leak(at)
        first = RateItem(budget, at, least)
        if not bucket.put(first):
            wait_ms = bucket.waiting(first)
            assert isinstance(wait_ms, int)
            return Grant(0, max(1, wait_ms) / 1_000)
        taken = least
        while taken < wanted and bucket.put(RateItem(budget, at)):
            taken += 1
        return Grant(taken, 0.0)

    @override
    async def block(self, budget: str, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        self._blocked[budget] = max(until, self._blocked.get(budget, 0.0))


class BudgetGate(Gate):
    """Lets the requests of one share through, in the order in which they came."""

    def __init__(
        self,
        budget: Budget,
        share: Share,
        leases: Leases,
        clock: Clock,
        *,
        patience_s: float = 0.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Lease nothing yet.

        Args:
            budget: of the key.
            share: `live` may use what backfills left of theirs, never the other way round.
            leases: where permits are counted.
            clock: for waiting.
            patience_s: a request waits so long for a permit; with 0 it is refused at once, so that the
                router can ask somebody else.
            sleep: for tests.
        """
        self._budget = budget
        self._leases = leases
        self._clock = clock
        self._patience_s = patience_s
        self._sleep = sleep
        shares: tuple[Share, ...] = ("live", "backfill") if share == "live" else ("backfill",)
        self._pools = tuple(_pool(budget, share) for share in shares)
        #: one call must not take what other workers wait for
        self._batch = max(1, max(most for *_, most in self._pools) // 10)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._spare = 0
        self._spare_until = 0.0
        self._blocked_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    @override
    async def pass_(self, n: int = 1) -> None:
        """Return when ``n`` requests may leave; they must leave at once.

        Raises:
            RateLimited: not within the patience of this gate.
            Transient: the count of permits cannot be reached.
            ValueError: the budget never has so many.
        """
        if n > max(most for *_, most in self._pools):
            raise ValueError(f"{self._budget.name}: {n} at once are more than the budget ever has")
        deadline = self._clock.monotonic() + self._patience_s
        self._waiting += n
        try:
            async with self._turn:
                while (wait_s := await self._take(n)) > 0:
                    if self._clock.monotonic() + wait_s > deadline:
                        raise self._refused(wait_s)
                    await self._sleep(wait_s)
        finally:
            self._waiting -= n

    @override
    def block_until(self, monotonic: float) -> None:
        """Let nothing through before, in any worker: the vendor said so."""
        self._blocked_until = max(self._blocked_until, monotonic)
        seconds = monotonic - self._clock.monotonic()
        if seconds > 0:
            task = asyncio.get_running_loop().create_task(self._tell(seconds))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait until the others know of every block."""
        await asyncio.gather(*self._telling)

    async def _tell(self, seconds: float) -> None:
        # whoever cannot reach the count leases nothing; should it be back sooner, a vendor says it again
        with suppress(Transient):
            await self._leases.block(self._budget.name, seconds)

    async def _take(self, n: int) -> float:
        """Take permits; return 0, or how long to wait before the next attempt."""
        now = self._clock.monotonic()
        if now < self._blocked_until:
            return self._blocked_until - now
        if now >= self._spare_until:
            self._spare = 0
        if self._spare < n:
            wait_s = await self._lease(n)
            if wait_s > 0:
                return wait_s
        self._spare -= n
        return 0.0

    async def _lease(self, n: int) -> float:
        wait_s = math.inf
        for pool, windows, most in self._pools:
            if n > most:
                continue
            asked_at = self._clock.monotonic()
            wanted = min(most, max(n, min(self._waiting, self._batch)))
            permits, again_s = await self._leases.lease(
                self._budget.name, pool, windows, least=n, wanted=wanted
            )
            if permits:
                # half of the slack is for the answer to us, half for the request to the vendor
                until = asked_at + self._budget.slack_s / 2
                if self._clock.monotonic() < until:
                    self._spare, self._spare_until = permits, until
                    return 0.0
                again_s = self._budget.slack_s
            wait_s = min(wait_s, again_s)
        return max(wait_s, 0.001)

    def _refused(self, wait_s: float) -> RateLimited:
        return RateLimited(
            "our own budget is spent",
            provider=self._budget.provider,
            code="budget",
            retry_after_s=wait_s,
            scope=scope_of(wait_s - self._budget.slack_s),
        )


def _pool(budget: Budget, share: Share) -> tuple[Share, tuple[Window, ...], int]:
    """Return a share, its windows and how many permits it ever has at once."""
    windows = budget.share(share)
    return share, windows, min(w.permits for w in windows)


def scope_of(seconds: float) -> Scope:
    """Return the name of the shortest span that is at least so long."""
    spans: tuple[tuple[Scope, float], ...] = (("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400))
    return next((scope for scope, length in spans if seconds <= length), "month")
