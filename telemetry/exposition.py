"""The catalogue of metrics as Prometheus reads it, and as people do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, product

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from telemetry.metrics import CATALOGUE, Distribution, Sample, Spec

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
        values: dict[Spec, dict[tuple[str, ...], float | Distribution]] = {
            spec: _zeros(spec) for spec in CATALOGUE
        }
        for sample in self._source():
            _check(sample)
            values[sample.spec][sample.labels] = sample.value
        for spec, by_labels in values.items():
            yield _family(spec, by_labels)


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


def _zeros(spec: Spec) -> dict[tuple[str, ...], float | Distribution]:
    if spec.kind == "gauge" or not spec.closed:
        return {}
    nothing = Distribution((0,) * (len(spec.bounds) + 1), 0.0) if spec.kind == "histogram" else 0.0
    return dict.fromkeys(product(*spec.labels.values()), nothing)


def _family(spec: Spec, by_labels: Mapping[tuple[str, ...], float | Distribution]) -> Metric:
    names = tuple(spec.labels)
    if spec.kind == "histogram":
        histogram = HistogramMetricFamily(spec.name, spec.help, labels=names)
        bounds = [*map(str, spec.bounds), "+Inf"]
        for labels, value in by_labels.items():
            assert isinstance(value, Distribution)
            cumulated = list(zip(bounds, map(float, accumulate(value.classes)), strict=True))
            histogram.add_metric(labels, buckets=cumulated, sum_value=value.total)
        return histogram
    make = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    family = make(spec.name.removesuffix("_total"), spec.help, labels=names)
    for labels, value in by_labels.items():
        assert not isinstance(value, Distribution)
        family.add_metric(labels, value)
    return family


def _check(sample: Sample) -> None:
    spec = sample.spec
    if spec not in CATALOGUE:
        raise ValueError(f"{spec.name} is not in the catalogue")
    if len(sample.labels) != len(spec.labels):
        raise ValueError(f"{spec.name} takes the labels {tuple(spec.labels)}")
    classes = sample.value.classes if isinstance(sample.value, Distribution) else ()
    if len(classes) != (len(spec.bounds) + 1 if spec.kind == "histogram" else 0):
        raise ValueError(f"{spec.name}: not the value of a {spec.kind} with {len(spec.bounds)} bounds")
    for value, (name, allowed) in zip(sample.labels, spec.labels.items(), strict=True):
        if allowed and value not in allowed:
            raise ValueError(f"{spec.name}: {value!r} is no value of {name}")
