"""Compares what vendors served with what others say of it, and tells the provider table.

A vendor can answer at once, with status 200, and wrongly: nothing but another's word shows it. One worker of
the fleet looks at a few series of the last two sessions at a time. It writes nothing to the candles: which
row is kept is the guard's affair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import psycopg
from mode import Service
from typing_extensions import override

from domain.clock import Clock
from domain.health import failed
from domain.reconcile import Comparison, Field, compare, together
from domain.routing import Standing
from providers.base import BarsRequest, BarsResult, Provider
from providers.capability import Access
from providers.sessions import midnight_ns, session_of
from schemas.errors import DatabaseAway, DatabaseRefused
from schemas.outcome import ProviderOutcome
from schemas.provider import ProviderName
from sinks import reconciliation
from sinks.database import Database
from sinks.reconciliation import Group
from streams.judgement import Judgement, decisive
from streams.series import SETTLED_NS, Series, series_of
from streams.witnesses import Witnesses, without_other_splits

AT_ONCE: Final = 8
"""Series a round: at four providers at most so many times four requests."""
LOOK_BACK_DAYS: Final = 5
"""In these lie two sessions, over a long weekend too."""
SESSIONS: Final = 2
SYMBOLS_AT_ONCE: Final = 50
ENOUGH: Final = 200
"""Series to choose from."""
SEARCH_S: Final = 5.0
"""What has been found by then is chosen from."""
LEEWAY_NS: Final = 10_000_000_000
"""Until the whole fleet has heard that a provider is wrong."""
TURN_S: Final = 1.0
#: of a period: the workers of a fleet that was started at once do not look at once
JITTER: Final = 0.2


class Rules(Protocol):
    """The settings in force, as far as they matter here."""

    @property
    def reconcile_s(self) -> float:
        """Seconds between two rounds; 0: none."""

    @property
    def reconcile_authority(self) -> Sequence[str]:
        """Whose word counts alone."""


class Reconciler(Service):
    """Looks every RECONCILE_S, if it is this worker that does."""

    def __init__(
        self,
        database: Database,
        clients: Mapping[ProviderName, Provider],
        accesses: Mapping[ProviderName, Access],
        standings: Callable[[], Mapping[ProviderName, Standing]],
        report: Callable[[ProviderOutcome], None],
        rules: Callable[[], Rules],
        clock: Clock,
        *,
        worker: str,
        **kw: Any,
    ) -> None:
        """Ask nobody yet.

        Args:
            database: of its own: a batch of candles must not wait behind its questions, and whoever has its
                session reconciles for the fleet. Not closed here.
            clients: of the vendors that have a key. Not closed here.
            accesses: of the same vendors.
            standings: of the provider table, now; a provider that it does not name is fit.
            report: takes what was judged.
            rules: the settings in force, read anew each time.
            clock: for what is settled, and for waiting.
            worker: name of this one, for outcomes and for when it begins.
            kw: of the service.
        """
        super().__init__(**kw)
        self._database = database
        self._clients = clients
        self._accesses = accesses
        self._standings = standings
        self._report = report
        self._rules = rules
        self._clock = clock
        self._worker = worker
        self._draw = random.Random(worker)  # noqa: S311 - spreads workers out
        self._leads = False
        self._failed_at: dict[str, int] = {}
        """What a provider served until then has been held against it once: that is enough."""
        self.disagreement: dict[tuple[ProviderName, Field], float] = {}
        """Share of the bars that nobody confirms, as of the last round that looked at the provider."""
        self.rounds = 0
        """Rounds that this worker has done."""

    @Service.task
    async def _look(self) -> None:
        # in the first period at any time of it
        due = self._clock.monotonic() + self._rules().reconcile_s * self._draw.random()
        while not self.should_stop:
            period, now = self._rules().reconcile_s, self._clock.monotonic()
            due = min(due, now + period * (1 + JITTER))  # a reload may have made it shorter
            if period <= 0:
                await self._give_up()
            elif now >= due:
                await self._round_if_leading()
                due = self._clock.monotonic() + period * self._draw.uniform(1 - JITTER, 1 + JITTER)
            await self.sleep(min(TURN_S, period or TURN_S))

    async def _round_if_leading(self) -> None:
        try:
            self._leads = await self._database.attempt(reconciliation.lead)
            if self._leads:
                await self.round(f"{self._worker} {self.rounds} {self._clock.now_ns()}")
        except (DatabaseAway, DatabaseRefused, psycopg.Error) as exc:
            # a comparison that does not happen harms nobody: the next round tries again
            self.log.warning("what was served cannot be compared now: %s", exc)

    @override
    async def on_stop(self) -> None:
        """Leave the rounds to another worker."""
        await self._give_up()

    async def _give_up(self) -> None:
        if not self._leads:
            return
        self._leads = False
        try:
            await self._database.attempt(reconciliation.resign)
        except (DatabaseAway, DatabaseRefused) as exc:
            self.log.debug("its session has ended, and the lock with it: %s", exc)

    async def round(self, seed: str) -> list[Judgement]:
        """Compare some series, and report what can be judged of them.

        Args:
            seed: which ones, of those that are there; by the same seed the same.

        Raises:
            DatabaseAway: try again later.
            DatabaseRefused: it said no for another reason.
        """
        witnesses = self._witnesses()
        judgements = []
        for group in await self._choose(random.Random(seed)):  # noqa: S311 - a choice
            judged = await self._examine(group, witnesses)
            if judged is not None:
                judgements.append(judged)
        self.rounds += 1
        self._measure(judgements)
        told = decisive(judgements)
        self._tell(told)
        return told

    async def incompleteness(
        self, provider: ProviderName, request: BarsRequest, result: BarsResult
    ) -> float | None:
        """Return the share of a fresh answer that others prove missing or wrong, None if they prove nothing.

        For who probes a provider: what was wrong must be right before jobs ask it again.
        """
        witnesses, now_ns = self._witnesses(), self._clock.now_ns()
        comparisons = []
        for symbol in request.symbols:
            series = Series(provider, symbol, request.interval, result.adjustment, result.source.coverage)
            bars = {
                row.ts_event: row
                for row in result.rows
                if row.symbol == symbol and series.counts(row.ts_event, now_ns, now_ns)
            }
            words = await witnesses.others(series, result.covered_ns, extended_hours=request.extended_hours)
            heard = without_other_splits(series, bars, words)
            comparisons.append(compare(bars, [result.covered_ns], heard))
        return together(comparisons).incompleteness

    def _witnesses(self) -> Witnesses:
        authorities = tuple(self._rules().reconcile_authority)
        return Witnesses(self._clients, self._accesses, self._standings, authorities, self._clock)

    async def _choose(self, draw: random.Random) -> list[Group]:
        now_ns = self._clock.now_ns()
        window = midnight_ns(session_of(now_ns) - LOOK_BACK_DAYS), now_ns - SETTLED_NS
        symbols = await self._database.attempt(reconciliation.symbols, *window)
        draw.shuffle(symbols)
        found: list[Group] = []
        until = self._clock.monotonic() + SEARCH_S
        for first in range(0, len(symbols), SYMBOLS_AT_ONCE):
            some = symbols[first : first + SYMBOLS_AT_ONCE]
            found += await self._database.attempt(reconciliation.groups, some, *window)
            if len(found) >= ENOUGH or self._clock.monotonic() > until:
                break
        last = sorted({group.session for group in found})[-SESSIONS:]
        known = [
            group
            for group in found
            if group.session in last
            and group.provider in self._accesses
            and group.as_of > self._failed_at.get(group.provider, 0)
        ]
        draw.shuffle(known)
        # one of each provider, so that a rare one is looked at too; of the rest who serves more is seen more
        firsts = {group.provider: group for group in reversed(known)}
        others = [group for group in known if firsts[group.provider] is not group]
        return [*firsts.values(), *others][:AT_ONCE]

    async def _examine(self, group: Group, witnesses: Witnesses) -> Judgement | None:
        series = series_of(group)
        rows = await self._database.attempt(reconciliation.rows, group)
        after_ns = self._failed_at.get(group.provider, 0)
        served, holes, asked_ns = series.served(rows, after_ns, self._clock.now_ns())
        if not served:
            return None
        window = min(served), max(served) + series.step_ns
        words = await witnesses.others(series, window)
        words += await witnesses.own_word(series, window, asked_ns)
        heard = without_other_splits(series, served, words)
        return Judgement((group,), compare(served, holes, heard), tuple(word.name for word in heard))

    def _measure(self, judgements: Sequence[Judgement]) -> None:
        of: dict[ProviderName, list[Comparison]] = {}
        for one in judgements:
            of.setdefault(series_of(one.groups[0]).provider, []).append(one.comparison)
        for provider, comparisons in of.items():
            whole = together(comparisons)
            if whole.bars:
                for name, ratio in whole.ratios.items():
                    self.disagreement[provider, name] = ratio

    def _tell(self, judgements: Sequence[Judgement]) -> None:
        """Log what is wrong, and report all at once: the provider table then sees them in a row."""
        now_ns = self._clock.now_ns()
        for one in judgements:
            provider = one.groups[0].provider
            if one.comparison.indicts:
                self.log.warning("%s served what others do not confirm: %s", provider, one.describe())
            elif one.comparison.doubtful:
                self.log.info("%s is in doubt, which proves nothing: %s", provider, one.describe())
            outcome = one.outcome(now_ns, self._worker)
            if outcome is None:
                continue
            if failed(outcome):
                self._failed_at[provider] = now_ns + LEEWAY_NS
            self._report(outcome)
