"""The composition root: what a worker is made of, built once, started and stopped in order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from mode.types import ServiceT

from providers.router import Router
from schemas.topics import PROVIDER_HEALTH, PROVIDER_OUTCOMES
from sinks import budgets, candles, job_results, quotes
from sinks.budgets import SharedLeases
from sinks.database import Database
from streams.batcher import Batcher
from streams.control import Control
from streams.gate import Gate
from streams.guard import VERSION, divert
from streams.health_keeper import HealthKeeper
from streams.job_batches import JobBatches
from streams.job_runner import JobRunner
from streams.lanes import CandleLane, Lane, QuoteLane
from streams.latest import LatestQuotes
from streams.outcomes import Outcomes
from streams.output import Output
from streams.prober import Prober
from streams.provider_table import ProviderTable
from streams.provisional import Provisional
from streams.pulse import Pulse
from streams.reconciler import Reconciler
from streams.status import DependencyStatus, JobsStatus, PartitionStatus, Phase, ProvidersStatus, WorkerStatus
from streams.vendors import Vendors
from streams.waiting_room import WaitingRoom
from streams.watchdog import Watchdog

if TYPE_CHECKING:
    from streams.app import MarketApp

#: a delivery that takes longer means that the broker is away
SLOW_DELIVERY_S = 2.0


class Services:
    """Everything that lives as long as the worker."""

    def __init__(self, app: MarketApp) -> None:
        """Build; connect to nothing."""
        settings, clock = app.settings, app.clock
        self._app = app
        self._started = clock.monotonic()
        self._cluster = ""
        kw = {"loop": app.loop, "beacon": app.beacon}
        self.database = Database(
            settings.database_url.get_secret_value(),
            f"tapeflow-{app.worker_id}"[:63],
            clock,
            prepare=candles.prepare,
        )
        self.output = Output(
            settings.kafka_bootstrap_servers,
            f"tapeflow-{app.worker_id}",
            settings.broker_budget_s,
            clock,
            **kw,
        )
        self.gate = Gate(app, **kw)
        self.pulse = Pulse(app, **kw)
        # a batch of quotes must not hold up the candles of trades
        self.quotes_database = Database(
            settings.database_url.get_secret_value(),
            f"tapeflow-{app.worker_id}"[:56] + "-quotes",
            clock,
            prepare=quotes.prepare,
        )
        self.pages_database = Database(
            settings.database_url.get_secret_value(), f"tapeflow-{app.worker_id}"[:57] + "-pages", clock
        )
        self.candle_lane = CandleLane(app, self.database)
        self.quote_lane = QuoteLane(app, self.quotes_database)
        self.lanes: tuple[Lane[Any], ...] = (self.candle_lane, self.quote_lane)
        self.batcher = Batcher(app, self.candle_lane, **kw)
        self.quote_batcher = Batcher(app, self.quote_lane, **kw)
        self.latest = LatestQuotes(app, **kw)
        self.provisional = Provisional(app, **kw)
        self.control = Control(app, **kw)
        self.watchdog = Watchdog(app)
        self.budgets_database = Database(
            settings.database_url.get_secret_value(),
            f"tapeflow-{app.worker_id}"[:55] + "-budgets",
            clock,
            prepare=budgets.prepare,
        )
        self.vendors = Vendors(settings, clock, SharedLeases(self.budgets_database), share="live")
        self.clients = self.vendors.clients
        self.provider_table = ProviderTable(
            settings.kafka_bootstrap_servers,
            f"tapeflow-{app.worker_id}-providers",
            settings.topic(PROVIDER_HEALTH),
            partial(divert, app),
            **kw,
        )
        self.outcomes = Outcomes(
            self.output.deliver,
            settings.topic(PROVIDER_OUTCOMES),
            settings.partitions(PROVIDER_OUTCOMES),
            app.counters.providers,
            **kw,
        )
        self.health_keeper = HealthKeeper(app, **kw)
        self.prober = Prober(app, **kw)
        self.reconcile_database = Database(
            settings.database_url.get_secret_value(),
            f"tapeflow-{app.worker_id}"[:53] + "-reconcile",
            clock,
        )
        self.reconciler = Reconciler(
            self.reconcile_database,
            self.clients,
            self.vendors.accesses,
            self.provider_table.standings,
            self.outcomes.report,
            lambda: app.settings,
            clock,
            worker=app.worker_id[:128],
            **kw,
        )
        app.counters.providers.disagreement = self.reconciler.disagreement
        # a batch of jobs must not hold up the candles of trades, nor they a lease
        self.jobs_database = Database(
            settings.database_url.get_secret_value(),
            f"tapeflow-{app.worker_id}"[:58] + "-jobs",
            clock,
            prepare=job_results.prepare,
        )
        self.router = Router(
            self.clients, self.vendors.accesses, clock, self.outcomes.report, worker=app.worker_id
        )
        self.job_batches = JobBatches(app, **kw)
        self.job_runner = JobRunner(app, **kw)
        self.waiting_room = WaitingRoom(app, **kw)

    def in_order(self) -> Iterable[ServiceT]:
        """Return what starts before the consumer joins the group, and stops after it has left."""
        return [
            self.pulse,
            self.gate,
            self.output,
            self.control,
            self.provider_table,
            self.outcomes,
            self.health_keeper,
            self.prober,
            self.reconciler,
            self.batcher,
            self.quote_batcher,
            self.provisional,
            self.latest,
            self.job_batches,
            self.job_runner,
            self.waiting_room,
        ]

    async def close(self) -> None:
        """Close what no service closes."""
        await self.vendors.close()
        await self.budgets_database.close()
        await self.jobs_database.close()
        await self.reconcile_database.close()
        await self.pages_database.close()
        await self.quotes_database.close()
        await self.database.close()

    def join(self, cluster: str) -> None:
        """Learn the cluster's id: positions are kept by it."""
        self._cluster = cluster
        # with the transport's for the broker below the time after which Faust's recovery ends in silence
        budget = self._app.conf.broker_request_timeout * 0.6
        for lane in self.lanes:
            lane.join(cluster, budget)

    def phase(self) -> Phase:
        """Return what the worker is doing."""
        return self._phase()[0]

    def _phase(self) -> tuple[Phase, str]:
        app, database = self._app, self._worst().reachability
        if app.should_stop:
            return "stopping", "finishing what is in flight"
        if not self._cluster or self.gate.phase.startswith("waiting"):
            return self.gate.phase, self.gate.detail
        if not database.up:
            return "waiting_for_database", database.detail
        if self.output.waiting_s > SLOW_DELIVERY_S:
            return "waiting_for_broker", f"a delivery has been under way for {self.output.waiting_s:.0f} s"
        if not self.pulse.broker_up and self.pulse.broker_success is not None:
            return "waiting_for_broker", self.pulse.broker_detail
        if app.rebalancing:
            return "rebalancing", "the group is changing"
        if not app.chunk_consumer.positioned:
            return "starting", self.gate.detail or "no partition is assigned yet"
        return "running", ""

    def status(self) -> WorkerStatus:
        """Return the snapshot that pages, probes and metrics are made from."""
        app = self._app
        now = app.clock.monotonic()
        phase, detail = self._phase()
        return WorkerStatus(
            worker_id=app.worker_id,
            version=VERSION,
            group=app.settings.kafka_group,
            cluster=self._cluster,
            started_s=now - self._started,
            phase=phase,
            detail=detail,
            partitions=tuple(self._partitions(now)) if self._cluster else (),
            counters=app.counters,
            rates=self.pulse.rates(),
            last_commit_s=_ago(self._last_commit(), now),
            database=self._database(now),
            broker=self._broker(now),
            heartbeat_s=now - self.pulse.heartbeat,
            settings=self.control.status(),
            providers=self._providers(),
            jobs=self._jobs(),
        )

    def _last_commit(self) -> float | None:
        commits = (self.batcher.last_commit, self.quote_batcher.last_commit)
        return max((at for at in commits if at is not None), default=None)

    def _partitions(self, now: float) -> Iterable[PartitionStatus]:
        app = self._app
        for tp, tenure in sorted(app.tenures.items()):
            yield PartitionStatus(
                topic=tp.topic,
                partition=tp.partition,
                committed=self.pulse.committed.get(tp),
                stored=tenure.stored,
                end=self.pulse.end(tp),
                moved_s=now - tenure.moved_at,
            )

    def _providers(self) -> ProvidersStatus:
        table = self.provider_table
        return ProvidersStatus(
            table.version,
            tuple(table.health.values()),
            frozenset(self.clients),
            frozenset(self.health_keeper.kept),
        )

    def _jobs(self) -> JobsStatus:
        counts = self.waiting_room.counts or {}
        return JobsStatus(self.job_runner.in_flight, counts.get("waiting"), counts.get("healing"))

    def _worst(self) -> Database:
        """Return the connection of the lanes that is away; that of candles if none is."""
        away = self.quotes_database
        return (
            away
            if self.database.reachability.up and away.reachability.retries and not away.reachability.up
            else self.database
        )

    def _database(self, now: float) -> DependencyStatus:
        r = self._worst().reachability
        return DependencyStatus(r.up, now - r.since, r.detail, _ago(r.last_success, now))

    def _broker(self, now: float) -> DependencyStatus:
        p = self.pulse
        success = max(filter(None, (p.broker_success, self.output.last_success)), default=None)
        return DependencyStatus(p.broker_up, now - p.broker_since, p.broker_detail, _ago(success, now))


def _ago(at: float | None, now: float) -> float | None:
    return None if at is None else now - at
