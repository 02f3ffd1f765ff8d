"""The catalogue of topics."""

from __future__ import annotations

import re

import pytest

from schemas.topics import (
    CANDLES,
    DAY_MS,
    DEAD_LETTERS,
    DLQ_MAX_BYTES,
    QUOTES,
    QUOTES_LATEST,
    QUOTES_RAW,
    TOPICS,
    TRADES,
    TopicSpec,
)


def test_all_are_listed_once() -> None:
    assert {spec.name for spec in TOPICS} == {
        "md.jobs.v1",
        "md.trades.v1",
        "md.quotes.raw.v1",
        "md.quotes.v1",
        "md.quotes.latest.v1",
        "md.candles.v1",
        "md.provider-outcomes.v1",
        "md.provider-health.v1",
        "md.control.v1",
        "md.dlq.v1",
    }
    assert len(TOPICS) == 10


def test_outputs_have_as_many_partitions_as_their_input() -> None:
    ticks = (QUOTES_RAW, QUOTES, QUOTES_LATEST, CANDLES, DEAD_LETTERS)
    assert {spec.partitions for spec in ticks} == {TRADES.partitions}
    assert {spec.partitions_here(3) for spec in TOPICS if spec.ticks} == {3}
    assert [spec.partitions_here(3) for spec in TOPICS if not spec.ticks] == [6, 3, 1, 1]
    assert all(spec.partitions_here(0) == spec.partitions for spec in TOPICS)


@pytest.mark.parametrize("spec", TOPICS, ids=lambda spec: spec.name)
class TestEach:
    def test_name(self, spec: TopicSpec) -> None:
        assert re.fullmatch(r"md(\.[a-z]+(-[a-z]+)*)+\.v[1-9][0-9]*", spec.name)

    def test_the_broker_sets_the_time(self, spec: TopicSpec) -> None:
        # else the verdict on the future would not be the same when a record is folded again
        assert spec.config["message.timestamp.type"] == "LogAppendTime"

    def test_what_is_compacted_has_no_retention(self, spec: TopicSpec) -> None:
        compacted = spec.name in ("md.control.v1", "md.provider-health.v1", "md.quotes.latest.v1")
        assert (spec.config["cleanup.policy"] == "compact") == compacted
        # whoever reads it from the beginning reads what is not compacted yet, too
        assert ("segment.ms" in spec.config) == compacted
        assert int(spec.config.get("segment.ms", 0)) <= DAY_MS / 24
        assert ("retention.ms" in spec.config) != spec.compact

    def test_settings_are_text(self, spec: TopicSpec) -> None:
        assert all(isinstance(value, str) for value in spec.config.values())
        assert int(spec.config.get("retention.ms", 0)) == spec.retention_ms
        assert int(spec.config["max.message.bytes"]) == spec.max_message_bytes

    def test_is_described(self, spec: TopicSpec) -> None:
        assert spec.summary.endswith(".")
        assert "|" not in spec.summary


def test_every_original_fits_into_a_dead_letter() -> None:
    assert max(spec.max_message_bytes for spec in TOPICS if spec is not DEAD_LETTERS) + 4_096 < DLQ_MAX_BYTES
    assert DEAD_LETTERS.max_message_bytes == DLQ_MAX_BYTES


def test_dead_letters_outlive_everything() -> None:
    assert DEAD_LETTERS.retention_ms >= 14 * DAY_MS
    assert DEAD_LETTERS.retention_ms == max(spec.retention_ms for spec in TOPICS)


def test_what_is_public() -> None:
    public = {"md.quotes.v1", "md.quotes.latest.v1", "md.candles.v1"}
    assert {spec.name for spec in TOPICS if spec.public} == public
