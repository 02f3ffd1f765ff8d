"""What a worker says of itself: one immutable snapshot, read by the page, the probes and the metrics."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, get_args

from domain.reconcile import Field
from schemas.errors import Reason
from schemas.outcome import Outcome
from schemas.provider import PROVIDERS, Kind, ProviderName
from schemas.provider_health import ProviderHealth
from schemas.quote import Flag

Phase = Literal[
    "starting", "waiting_for_database", "waiting_for_broker", "rebalancing", "running", "stopping"
]


SettingsOutcome = Literal["adopted", "rejected", "unchanged", "refused"]

#: what went well is no error
ERRORS: tuple[Outcome, ...] = tuple(o for o in get_args(Outcome) if o not in ("ok", "empty"))
#: upper bounds of the classes that answers are counted in, milliseconds
LATENCY_MS = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """Where one partition stands; offsets are the next to come, as Kafka counts."""

    topic: str
    partition: int
    committed: int | None
    """The group's offset in Kafka: a hint that may lag behind ``stored``, never lead."""
    stored: int
    """The offset in the database: the checkpoint."""
    end: int | None
    """End of the partition as of the last fetch; None before the first."""
    moved_s: float
    """Seconds since ``stored`` last moved."""

    @property
    def lag(self) -> int | None:
        """Records that are there and not stored."""
        return None if self.end is None else max(0, self.end - self.stored)


@dataclass(frozen=True, slots=True)
class DependencyStatus:
    """The database or the broker, as this worker last met it."""

    up: bool
    since_s: float
    """Seconds in this state."""
    detail: str
    """Why it is not up; empty if it is."""
    last_success_s: float | None
    """Seconds since the last success; None before the first."""


@dataclass(frozen=True, slots=True)
class SettingsStatus:
    """Which settings are in force."""

    number: int = 0
    """Version of the fleet; 0: the worker's own, nothing was ever reloaded."""
    version: str = ""
    """Number and digest."""
    rejected: str = ""
    """Why this worker did not follow the fleet's last version; empty if it did."""


@dataclass(frozen=True, slots=True)
class ProvidersStatus:
    """The provider table as this worker knows it."""

    version: int = 0
    """The same number is the same table on every worker."""
    health: tuple[ProviderHealth, ...] = ()
    """Of those that are known; in no particular order."""
    with_key: frozenset[ProviderName] = frozenset()
    """Whom this worker can ask."""
    kept: frozenset[ProviderName] = frozenset()
    """Whose outcomes this worker folds and whom it probes."""


@dataclass(slots=True)
class Latencies:
    """How long answers took: how many were in each class, and their sum."""

    classes: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_MS) + 1))
    """By the upper bounds of `LATENCY_MS`; the last one has what is above them all."""
    total_ms: float = 0.0

    def add(self, ms: float) -> None:
        """Count one."""
        self.classes[bisect_left(LATENCY_MS, ms)] += 1
        self.total_ms += ms


@dataclass(slots=True)
class ProviderCounters:
    """What this worker has asked of providers since it started."""

    selected: dict[tuple[ProviderName, Kind], int] = field(
        default_factory=lambda: dict.fromkeys(product(PROVIDERS, get_args(Kind)), 0)
    )
    """Requests that jobs made."""
    errors: dict[tuple[ProviderName, Outcome], int] = field(
        default_factory=lambda: dict.fromkeys(product(PROVIDERS, ERRORS), 0)
    )
    """Requests of jobs and probes that did not end well."""
    latency: dict[ProviderName, Latencies] = field(
        default_factory=lambda: {p: Latencies() for p in PROVIDERS}
    )
    disagreement: dict[tuple[ProviderName, Field], float] = field(default_factory=dict)
    """Share of compared bars in which the provider stood alone, from 0 to 1; absent: none were compared."""
    outcomes_dropped: int = 0
    """Outcomes that never reached the provider table."""
    outcomes_folded: int = 0
    probes: int = 0


JobType = Literal["bars", "quotes", "backfill", "unknown"]
"""`unknown`: a record that is no job."""
JobOutcome = Literal["done", "waiting", "failed", "poison"]


@dataclass(frozen=True, slots=True)
class JobsStatus:
    """What is under way here and what waits in the fleet."""

    in_flight: int = 0
    waiting: int | None = None
    """Requests that nobody can serve now; None before the first look."""
    healing: int | None = None
    """Requests whose lesser rows are there, and wait to be replaced."""


@dataclass(slots=True)
class QuoteCounters:
    """What became of quotes; their records are counted with all others."""

    stored: int = 0
    """Rows of quotes_l1; each is a quote that was published."""
    duplicates: int = 0
    markers: int = 0
    """Published between quotes, where some may be missing."""
    latest: int = 0
    """Published as the last one of their symbol."""
    flagged: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Flag), 0))
    """Stored ones that are odd."""


@dataclass(slots=True)
class Counters:
    """What a worker has done since it started; plain numbers, added to once a chunk."""

    records_in: int = 0
    """Records folded for the first time (not those folded again after a takeover)."""
    refolded: int = 0
    stored: int = 0
    dead_lettered: int = 0
    late: int = 0
    clocks: int = 0
    discontinuities: int = 0
    """Notes of feeds that records may be missing."""
    candles_final: int = 0
    candles_revised: int = 0
    candles_provisional: int = 0
    quotes: QuoteCounters = field(default_factory=QuoteCounters)
    transactions: int = 0
    chunks: int = 0
    swaps_lost: int = 0
    """Compare-and-swaps that found another owner's position."""
    stale_dropped: int = 0
    """Chunks and batches of an ended tenure."""
    slices_refetched: int = 0
    holes: int = 0
    database_retries: int = 0
    broker_retries: int = 0
    dead_letters: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    settings: dict[SettingsOutcome, int] = field(
        default_factory=lambda: dict.fromkeys(get_args(SettingsOutcome), 0)
    )
    providers: ProviderCounters = field(default_factory=ProviderCounters)
    jobs: dict[tuple[JobType, JobOutcome], int] = field(
        default_factory=lambda: dict.fromkeys(product(get_args(JobType), get_args(JobOutcome)), 0)
    )
    """Records of jobs, by what became of them here; requests that waited are not counted again."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, over the last ten seconds."""

    records_in: float
    stored: float
    dead_lettered: float


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One snapshot."""

    worker_id: str
    version: str
    group: str
    cluster: str
    started_s: float
    """Seconds since the process started."""
    phase: Phase
    detail: str
    """Why it is in this phase, as a sentence; empty when running."""
    partitions: tuple[PartitionStatus, ...]
    counters: Counters
    rates: Rates
    last_commit_s: float | None
    """Seconds since the last transaction with records committed; None before the first."""
    database: DependencyStatus
    broker: DependencyStatus
    heartbeat_s: float
    """Seconds since the event loop last turned, as seen from another thread."""
    settings: SettingsStatus = SettingsStatus()
    providers: ProvidersStatus = ProvidersStatus()
    jobs: JobsStatus = JobsStatus()
