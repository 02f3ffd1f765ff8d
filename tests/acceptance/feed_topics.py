"""What live feeds have said in the topics of a rig, read as it comes."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.rig import Rig
from tests.feed_told import Told

TOPICS = {"md.trades.v1": "trade", "md.quotes.raw.v1": "quote"}
#: of one look at the ends of all partitions, and of reading up to them
READ_S = 30.0


class FeedTopics:
    """Reads the tick topics of a rig, each record once."""

    def __init__(self, rig: Rig, consumer: Consumer) -> None:
        self._consumer = consumer
        self._kinds = {rig.prefix + topic: kind for topic, kind in TOPICS.items()}
        self._read = {(topic, p): 0 for topic in self._kinds for p in range(rig.partitions)}
        self._told: dict[str, Told] = defaultdict(lambda: Told(rig.partitions))
        consumer.assign([TopicPartition(topic, p, 0) for topic, p in self._read])

    def of(self, provider: str) -> Told:
        """Read up to the present ends; return what a provider's feed has said."""
        deadline = time.monotonic() + READ_S
        ends = {
            (topic, p): self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=READ_S)[1]
            for topic, p in self._read
        }
        while behind := [at for at, end in ends.items() if self._read[at] < end]:
            assert time.monotonic() < deadline, f"not read within {READ_S:.0f} s: {behind}"
            for message in self._consumer.consume(1_000, 0.02):
                self._take(message)
        return self._told[provider]

    def _take(self, message: Any) -> None:
        assert message.error() is None, message.error()
        topic, partition = message.topic(), message.partition()
        self._read[topic, partition] = message.offset() + 1
        kind, value = self._kinds[topic], json.loads(message.value())
        told = self._told[value["provider"]]
        if told.found[kind, partition].said(kind, value):
            told.appended_ms.append(message.timestamp()[1])


@contextmanager
def feed_topics(rig: Rig) -> Iterator[FeedTopics]:
    """Read the tick topics of a rig."""
    consumer = Consumer(
        {
            "bootstrap.servers": rig.bootstrap,
            "group.id": f"{rig.prefix}reader",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        yield FeedTopics(rig, consumer)
    finally:
        consumer.close()
