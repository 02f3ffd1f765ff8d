"""The catalogue of metrics and its exposition."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry import metrics
from telemetry.exposition import markdown, registry, render
from telemetry.metrics import CATALOGUE, Distribution, Sample, Spec

OPENMETRICS = "application/openmetrics-text; version=1.0.0, text/plain;version=0.0.4;q=0.5"


#: as operators' dashboards have known them
KNOWN = {
    "jobs_processed_total",
    "provider_selected_total",
    "provider_errors_total",
    "provider_latency_ms",
    "circuit_state",
    "bar_disagreement_ratio",
}


def test_names():
    names = [spec.name for spec in CATALOGUE]
    assert len(names) == len(set(names))
    declared = {s.name for s in vars(metrics).values() if isinstance(s, Spec)}
    assert declared == set(names), "declared and not listed, or the other way round"
    assert set(names) >= KNOWN
    for spec in CATALOGUE:
        assert spec.name in KNOWN or re.fullmatch(r"tapeflow(_[a-z][a-z0-9]*)+", spec.name)
        assert spec.name.endswith("_total") == (spec.kind == "counter")
        assert bool(spec.bounds) == (spec.kind == "histogram")
        assert spec.name in KNOWN or not re.search(
            r"_(ms|millis|milliseconds|minutes|hours|kb|mb|percent|count|sum|bucket)(_|$)", spec.name
        )
        assert spec.help.endswith(".")
        for label, values in spec.labels.items():
            assert re.fullmatch(r"[a-z][a-z0-9_]*", label)
            assert label not in {"symbol", "le", "quantile", "job", "instance"}
            assert values or label in {"topic", "partition", "version"}, f"{spec.name}: {label} is open"


def test_every_combination_of_a_counter_begins_at_zero():
    samples = {(s.name, *s.labels.values()): s.value for f in registry(list).collect() for s in f.samples}
    for reason in metrics.DEAD_LETTERS.labels["reason"]:
        assert samples["tapeflow_dead_letters_total", reason] == 0
    assert samples["tapeflow_transactions_total",] == 0
    assert samples["tapeflow_retries_total", "broker"] == 0


def test_a_gauge_without_a_value_is_absent():
    names = {s.name for f in registry(list).collect() for s in f.samples}
    assert "tapeflow_last_commit_age_seconds" not in names
    assert "tapeflow_dependency_up" not in names


@pytest.mark.parametrize(
    "sample",
    [
        Sample(metrics.DEAD_LETTERS, 1, ("because",)),
        Sample(metrics.DEAD_LETTERS, 1),
        Sample(metrics.TRANSACTIONS, 1, ("x",)),
        Sample(Spec("tapeflow_other_total", "counter", "Not declared."), 1),
        Sample(metrics.PROVIDER_LATENCY, 7.0, ("iex",)),
        Sample(metrics.PROVIDER_LATENCY, Distribution((1, 2), 7.0), ("iex",)),
        Sample(metrics.PROBES, Distribution((1,), 7.0)),
    ],
)
def test_nothing_outside_the_catalogue(sample):
    with pytest.raises(ValueError, match=r"tapeflow_|provider_"):
        list(registry(lambda: [sample]).collect())


def test_both_formats_parse_and_agree():
    own = registry(
        lambda: [Sample(metrics.CANDLES, 7, ("final",)), Sample(metrics.STORED, 5, ('t"\\\n', "0"))]
    )
    text, text_type = render(own, "")
    openmetrics, openmetrics_type = render(own, OPENMETRICS)
    assert text_type.startswith("text/plain; version=0.0.4")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")

    def ours(families: Iterable[Metric]) -> dict[object, float]:
        return {
            (s.name, tuple(s.labels.items())): s.value
            for f in families
            for s in f.samples
            if s.name.startswith("tapeflow_")
        }

    by_text = ours(parse_text(text.decode()))
    by_openmetrics = ours(parse_openmetrics(openmetrics.decode()))  # type: ignore[no-untyped-call]  # theirs
    assert by_text == by_openmetrics
    assert by_text["tapeflow_candles_total", (("kind", "final"),)] == 7
    assert b"process_resident_memory_bytes" in text


def test_a_histogram_counts_from_below():
    classes = (2, 0, 3, *[0] * 8, 1)
    own = registry(lambda: [Sample(metrics.PROVIDER_LATENCY, Distribution(classes, 20_071.0), ("iex",))])
    for text, parse in (
        (render(own, "")[0].decode(), parse_text),
        (render(own, OPENMETRICS)[0].decode(), parse_openmetrics),
    ):
        (family,) = (f for f in parse(text) if f.name == "provider_latency_ms")
        assert family.type == "histogram"
        found = {
            (s.name.removeprefix("provider_latency_ms"), s.labels.get("le", "")): s.value
            for s in family.samples
            if s.labels["provider"] == "iex"
        }
        assert [found["_bucket", le] for le in ("5.0", "10.0", "25.0", "10000.0", "+Inf")] == [2, 2, 5, 5, 6]
        assert (found["_count", ""], found["_sum", ""]) == (6, 20_071)
        others = [s.value for s in family.samples if s.labels["provider"] == "polygon"]
        assert others == [0.0] * 14, "a provider that was never asked is there from the start"


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x.y", "text/plain; version=;;=", ",;,", "\x00"]
)
def test_any_accept_header_gets_an_answer(accept):
    body, content_type = render(registry(list), accept)
    assert b"tapeflow_transactions_total 0.0" in body
    assert content_type.isprintable()


def test_the_document_names_every_metric_and_label_value():
    text = markdown()
    for spec in CATALOGUE:
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{spec.name}` |"))
        assert line.count(" | ") == 4
        assert all(f"`{v}`" in line for values in spec.labels.values() for v in values)
