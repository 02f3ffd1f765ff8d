"""What a worker says of itself: one immutable snapshot, read by the page, the probes and the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from schemas.errors import Reason

Phase = Literal[
    "starting", "waiting_for_database", "waiting_for_broker", "rebalancing", "running", "stopping"
]


SettingsOutcome = Literal["adopted", "rejected", "unchanged", "refused"]


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
