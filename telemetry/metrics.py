"""Every metric there is, declared once; values are asked for when somebody scrapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from schemas.errors import Reason
from schemas.provider import PROVIDERS

Kind = Literal["counter", "gauge", "histogram"]

#: Values of a label that come from the catalogue of topics: bounded, but not known before the assignment.
ASSIGNED: tuple[str, ...] = ()
DEPENDENCIES = ("database", "broker")
PHASES = ("starting", "waiting_for_database", "waiting_for_broker", "rebalancing", "running", "stopping")
SETTINGS_OUTCOMES = ("adopted", "rejected", "unchanged", "refused")
POLICIES = ("bars_1m", "bars_1d", "quotes_l1")
PROVIDER_ERRORS = ("not_found", "rate_limited", "entitlement", "bad_request", "auth", "away", "malformed")
BAR_FIELDS = ("open", "high", "low", "close", "volume", "missing", "extra")
JOB_TYPES = ("bars", "quotes", "backfill", "unknown")
JOB_STATES = ("done", "waiting", "failed", "poison")
PARTITION: Mapping[str, tuple[str, ...]] = {"topic": ASSIGNED, "partition": ASSIGNED}


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One metric: its name, what it says, and every value its labels can take."""

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label to its closed set of values; ``ASSIGNED`` for the topics and partitions of this worker."""
    bounds: tuple[float, ...] = ()
    """Of a histogram: the upper bounds of its classes; one more class has what is above them all."""

    @property
    def unit(self) -> str:
        """Unit, as the name ends in it; empty for a plain number."""
        last = self.name.rpartition("_")[2]
        return last if last in {"seconds", "ms", "bytes", "records"} else ""

    @property
    def closed(self) -> bool:
        """Whether every combination of labels is known beforehand."""
        return ASSIGNED not in self.labels.values()


class Distribution(NamedTuple):
    """The value of a histogram."""

    classes: tuple[int, ...]
    """How many were in each class."""
    total: float
    """Their sum."""


class Sample(NamedTuple):
    """One value, with the label values in the order of the declaration."""

    spec: Spec
    value: float | Distribution
    labels: tuple[str, ...] = ()


RECORDS = Spec(
    "tapeflow_records_total",
    "counter",
    "Records by what became of them. `in` are folded for the first time, `refolded` again after a takeover,"
    " `stored` are committed to the database, `late` revised a closed candle, `clock` only move"
    " the watermark, `discontinuity` say that a feed may have missed some.",
    {"outcome": ("in", "stored", "dead_lettered", "refolded", "late", "clock", "discontinuity")},
)
DEAD_LETTERS = Spec(
    "tapeflow_dead_letters_total",
    "counter",
    "Records diverted to the dead-letter topic, by reason.",
    {"reason": tuple(r.value for r in Reason)},
)
CANDLES = Spec(
    "tapeflow_candles_total",
    "counter",
    "Candles written: final ones, revisions of final ones, and provisional ones.",
    {"kind": ("final", "revised", "provisional")},
)
QUOTES = Spec(
    "tapeflow_quotes_total",
    "counter",
    "Quotes by what became of them. `stored` are published and in the database, `duplicate` were dropped,"
    " `latest` published as the last one of their symbol, `marker` say where some may be missing.",
    {"outcome": ("stored", "duplicate", "latest", "marker")},
)
QUOTE_FLAGS = Spec(
    "tapeflow_quote_flags_total",
    "counter",
    "Stored quotes that are odd, by flag; one may have several.",
    {"flag": ("crossed", "locked", "one_sided", "stale", "out_of_order")},
)
TRANSACTIONS = Spec("tapeflow_transactions_total", "counter", "Database transactions committed.")
CHUNKS = Spec("tapeflow_chunks_total", "counter", "Chunks of records taken from Kafka and folded.")
SWAPS_LOST = Spec(
    "tapeflow_swaps_lost_total",
    "counter",
    "Transactions rolled back because another worker had already moved a partition's position.",
)
STALE_DROPPED = Spec(
    "tapeflow_stale_dropped_total",
    "counter",
    "Chunks and batches dropped because their partition had been taken away meanwhile.",
)
SLICES_REFETCHED = Spec(
    "tapeflow_slices_refetched_total",
    "counter",
    "Slices fetched again because they did not continue what was delivered before.",
)
HOLES = Spec(
    "tapeflow_offset_holes_total",
    "counter",
    "Jumps of the offset within a partition that hide no record (transaction markers, compaction).",
)
RETRIES = Spec(
    "tapeflow_retries_total",
    "counter",
    "Attempts repeated because a dependency was away.",
    {"dependency": DEPENDENCIES},
)
LAG = Spec(
    "tapeflow_consumer_lag_records",
    "gauge",
    "Records that are in the partition and not in the database; absent before the first fetch.",
    PARTITION,
)
COMMITTED = Spec(
    "tapeflow_committed_offset",
    "gauge",
    "The group's offset in Kafka: a hint, never ahead of `tapeflow_stored_offset`; absent if there is none.",
    PARTITION,
)
STORED = Spec(
    "tapeflow_stored_offset", "gauge", "The next offset as the database holds it: the checkpoint.", PARTITION
)
END = Spec(
    "tapeflow_end_offset",
    "gauge",
    "End of the partition as of the last fetch; absent before the first.",
    PARTITION,
)
STILL = Spec(
    "tapeflow_partition_still_seconds",
    "gauge",
    "Time since the stored offset of a partition last moved; matters only while there is lag.",
    PARTITION,
)
VIOLATIONS = Spec(
    "tapeflow_invariant_violations",
    "gauge",
    "Partitions whose offsets are out of order at this moment: must be 0.",
    {"invariant": ("committed_beyond_stored", "stored_beyond_end")},
)
ASSIGNED_PARTITIONS = Spec("tapeflow_assigned_partitions", "gauge", "Partitions this worker holds.")
LAST_COMMIT = Spec(
    "tapeflow_last_commit_age_seconds",
    "gauge",
    "Time since records were last committed to the database; absent before the first commit.",
)
DEPENDENCY_UP = Spec(
    "tapeflow_dependency_up",
    "gauge",
    "1 if the dependency answered when it was last used, else 0.",
    {"dependency": DEPENDENCIES},
)
PHASE = Spec(
    "tapeflow_phase", "gauge", "1 for the phase the worker is in, 0 for the others.", {"phase": PHASES}
)
HEARTBEAT = Spec(
    "tapeflow_heartbeat_age_seconds",
    "gauge",
    "Time since the worker's event loop last turned; above 30 the worker counts as dead.",
)
UPTIME = Spec("tapeflow_uptime_seconds", "gauge", "Time since the worker started; counters begin there.")
SETTINGS_VERSION = Spec(
    "tapeflow_policy_version",
    "gauge",
    "Number of the settings in force, the same on every worker; 0 before the first reload.",
)
SETTINGS_INFO = Spec(
    "tapeflow_policy_version_info",
    "gauge",
    "Always 1; the version of the settings in force, number and digest, is a label.",
    {"version": ASSIGNED},
)
SETTINGS = Spec(
    "tapeflow_settings_total",
    "counter",
    "Reloads by outcome: versions `adopted` by this worker, `rejected` because its environment pins what does"
    " not go with them; requests here that changed nothing (`unchanged`) or were `refused` as invalid.",
    {"outcome": SETTINGS_OUTCOMES},
)
#: operators' dashboards know these by name, so they carry neither our prefix nor a base unit
PROVIDER_SELECTED = Spec(
    "provider_selected_total",
    "counter",
    "Requests that jobs made of a provider, by the policy it was chosen by.",
    {"provider": PROVIDERS, "kind": POLICIES},
)
PROVIDER_ERRORS_TOTAL = Spec(
    "provider_errors_total",
    "counter",
    "Requests of jobs and probes that did not end well. `auth`, `away` and `malformed` speak against the"
    " provider, the others against what was asked.",
    {"provider": PROVIDERS, "outcome": PROVIDER_ERRORS},
)
PROVIDER_LATENCY = Spec(
    "provider_latency_ms",
    "histogram",
    "Milliseconds from a request to the end of its answer.",
    {"provider": PROVIDERS},
    (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0),
)
CIRCUIT_STATE = Spec(
    "circuit_state",
    "gauge",
    "Breaker of a provider, the same on every worker: 0 closed (asked), 1 half-open (probed only), 2 open"
    " (left alone); absent if there is neither a key nor a record of it.",
    {"provider": PROVIDERS},
)
BAR_DISAGREEMENT = Spec(
    "bar_disagreement_ratio",
    "gauge",
    "Share of compared bars in which what the provider had served stood against what others say, from 0"
    " to 1; absent before the first comparison.",
    {"provider": PROVIDERS, "field": BAR_FIELDS},
)
PROVIDER_SCORE = Spec(
    "tapeflow_provider_score",
    "gauge",
    "Health of a provider, from 0 to 1, the same on every worker; absent if nothing is known.",
    {"provider": PROVIDERS},
)
PROVIDER_TABLE_VERSION = Spec(
    "tapeflow_provider_table_version",
    "gauge",
    "How far this worker has followed the provider table: the same number is the same table.",
)
PROVIDERS_KEPT = Spec(
    "tapeflow_providers_kept",
    "gauge",
    "Providers whose outcomes this worker folds; over all workers each known provider counts once.",
)
PROBES = Spec("tapeflow_probes_total", "counter", "Requests to half-open providers, to see if they are back.")
OUTCOMES = Spec(
    "tapeflow_outcomes_total",
    "counter",
    "Outcomes of requests: `folded` into the provider table here, or `dropped` because the broker was away.",
    {"result": ("folded", "dropped")},
)
BUILD_INFO = Spec("tapeflow_build_info", "gauge", "Always 1; the version is a label.", {"version": ASSIGNED})

JOBS_PROCESSED = Spec(
    "jobs_processed_total",
    "counter",
    "Records of jobs by what became of them here: `done`, `waiting` for a provider or in a queue, `failed`"
    " and `poison`, which are dead letters. A job that waited counts once.",
    {"job_type": JOB_TYPES, "state": JOB_STATES},
)
JOBS_IN_FLIGHT = Spec("tapeflow_jobs_in_flight", "gauge", "Jobs under way in this worker.")
WAITING_REQUESTS = Spec(
    "tapeflow_waiting_requests",
    "gauge",
    "Requests of jobs that wait in the whole fleet: `waiting` are served by nobody now, `healing` have rows"
    " of lesser coverage that are to be replaced. Absent before the first look.",
    {"kind": ("waiting", "healing")},
)

CATALOGUE = (
    RECORDS, DEAD_LETTERS, CANDLES, QUOTES, QUOTE_FLAGS, TRANSACTIONS, CHUNKS, SWAPS_LOST, STALE_DROPPED,
    SLICES_REFETCHED, HOLES, RETRIES, LAG, COMMITTED, STORED, END, STILL, VIOLATIONS, ASSIGNED_PARTITIONS,
    LAST_COMMIT, DEPENDENCY_UP,
    PHASE, HEARTBEAT, UPTIME, SETTINGS_VERSION, SETTINGS_INFO, SETTINGS, PROVIDER_SELECTED,
    PROVIDER_ERRORS_TOTAL, PROVIDER_LATENCY, CIRCUIT_STATE, BAR_DISAGREEMENT, PROVIDER_SCORE,
    PROVIDER_TABLE_VERSION, PROVIDERS_KEPT, PROBES, OUTCOMES, JOBS_PROCESSED, JOBS_IN_FLIGHT,
    WAITING_REQUESTS, BUILD_INFO,
)  # fmt: skip
