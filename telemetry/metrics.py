"""Every metric there is, declared once; values are asked for when somebody scrapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from schemas.errors import Reason

Kind = Literal["counter", "gauge"]

#: Values of a label that come from the catalogue of topics: bounded, but not known before the assignment.
ASSIGNED: tuple[str, ...] = ()
DEPENDENCIES = ("database", "broker")
PHASES = ("starting", "waiting_for_database", "waiting_for_broker", "rebalancing", "running", "stopping")
SETTINGS_OUTCOMES = ("adopted", "rejected", "unchanged", "refused")
PARTITION: Mapping[str, tuple[str, ...]] = {"topic": ASSIGNED, "partition": ASSIGNED}


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One metric: its name, what it says, and every value its labels can take."""

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label to its closed set of values; ``ASSIGNED`` for the topics and partitions of this worker."""

    @property
    def unit(self) -> str:
        """Base unit, as the name ends in it; empty for a plain number."""
        last = self.name.rpartition("_")[2]
        return last if last in {"seconds", "bytes", "records"} else ""

    @property
    def closed(self) -> bool:
        """Whether every combination of labels is known beforehand."""
        return ASSIGNED not in self.labels.values()


class Sample(NamedTuple):
    """One value, with the label values in the order of the declaration."""

    spec: Spec
    value: float
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
BUILD_INFO = Spec("tapeflow_build_info", "gauge", "Always 1; the version is a label.", {"version": ASSIGNED})

CATALOGUE = (
    RECORDS, DEAD_LETTERS, CANDLES, TRANSACTIONS, CHUNKS, SWAPS_LOST, STALE_DROPPED, SLICES_REFETCHED, HOLES,
    RETRIES, LAG, COMMITTED, STORED, END, STILL, VIOLATIONS, ASSIGNED_PARTITIONS, LAST_COMMIT, DEPENDENCY_UP,
    PHASE, HEARTBEAT, UPTIME, SETTINGS_VERSION, SETTINGS_INFO, SETTINGS, BUILD_INFO,
)  # fmt: skip


_INTRODUCTION = """\
`GET /metrics` answers in the Prometheus text format, or in OpenMetrics if `Accept` asks for it.
Counters begin at 0 when a worker starts, with every combination of labels. A gauge without a value
is absent: unknown is not 0. `topic` and `partition` are those assigned to the worker. The outcomes
of `tapeflow_records_total` overlap (what is `in` is later `stored`): do not add them up. The
`process_*` metrics of the Prometheus client (CPU, memory, files, start time) are there as well."""


class SampleCollector(Collector):
    """Asks for the samples when it is scraped, so that the way of the records knows nothing of Prometheus.

    A counter with closed labels has every combination from the start, at 0; a gauge without a value is
    absent, because "unknown" is not 0.
    """

    def __init__(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Take what returns the samples of this moment."""
        self._source = source

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield one family per metric of the catalogue.

        Raises:
            ValueError: a sample is not of the catalogue, or a label not of its closed set.
        """
        values: dict[Spec, dict[tuple[str, ...], float]] = {spec: _zeros(spec) for spec in CATALOGUE}
        for sample in self._source():
            _check(sample)
            values[sample.spec][sample.labels] = sample.value
        for spec, by_labels in values.items():
            make = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
            family = make(spec.name.removesuffix("_total"), spec.help, labels=tuple(spec.labels))
            for labels, value in by_labels.items():
                family.add_metric(labels, value)
            yield family


def registry(source: Callable[[], Iterable[Sample]]) -> CollectorRegistry:
    """Return a registry of its own with the catalogue and the process's CPU, memory and files."""
    own = CollectorRegistry(auto_describe=False)
    own.register(SampleCollector(source))
    ProcessCollector(registry=own)
    return own


def render(own: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the exposition and its content type: OpenMetrics if ``accept`` names it, else text."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # the client library compares any "version" with numbers
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    return encode(own), content_type


def markdown() -> str:
    """Return docs/reference/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Generated from `telemetry/metrics.py`; a test keeps the two the same.",
        "",
        _INTRODUCTION,
        "",
        "| Metric | Kind | Unit | Labels | Meaning |",
        "|---|---|---|---|---|",
    ]
    for spec in CATALOGUE:
        labels = "; ".join(
            f"`{name}`" + (": " + ", ".join(f"`{v}`" for v in values) if values else "")
            for name, values in spec.labels.items()
        )
        lines.append(f"| `{spec.name}` | {spec.kind} | {spec.unit} | {labels} | {spec.help} |")
    return "\n".join(lines) + "\n"


def _zeros(spec: Spec) -> dict[tuple[str, ...], float]:
    return (
        dict.fromkeys(product(*spec.labels.values()), 0.0) if spec.kind == "counter" and spec.closed else {}
    )


def _check(sample: Sample) -> None:
    spec = sample.spec
    if spec not in CATALOGUE:
        raise ValueError(f"{spec.name} is not in the catalogue")
    if len(sample.labels) != len(spec.labels):
        raise ValueError(f"{spec.name} takes the labels {tuple(spec.labels)}")
    for value, (name, allowed) in zip(sample.labels, spec.labels.items(), strict=True):
        if allowed and value not in allowed:
            raise ValueError(f"{spec.name}: {value!r} is no value of {name}")
