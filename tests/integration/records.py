"""Reads and writes the records of a topic on a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

#: a broker that takes longer hangs
TIMEOUT_S = 30.0
LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


def write(bootstrap: str, topic: str, records: Iterable[tuple[int, bytes | None, bytes | None]]) -> None:
    """Write (partition, key, value) and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    for partition, key, value in records:
        producer.produce(topic, value, key=key, partition=partition)
    assert producer.flush(TIMEOUT_S) == 0


def read(bootstrap: str, topic: str) -> list[Message]:
    """Return every record of a topic, in order within its partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "none",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
            "error_cb": lambda _: None,
        }
    )
    try:
        metadata: Any = consumer.list_topics(topic, TIMEOUT_S).topics[topic]
        ends: dict[int, int] = {}
        for partition in metadata.partitions:
            low, high = _bounds(consumer, TopicPartition(topic, partition))
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
        found: list[Message] = []
        deadline = time.monotonic() + TIMEOUT_S
        while ends:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            for message in consumer.consume(10_000, 0.5):
                assert message.error() is None, message.error()
                found.append(message)
                if (message.offset() or 0) + 1 >= ends.get(message.partition() or 0, 1 << 62):
                    del ends[message.partition() or 0]
        return sorted(found, key=lambda m: (m.partition() or 0, m.offset() or 0))
    finally:
        consumer.close()


def _bounds(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """Return beginning and end of a partition; a new one has no leader for a moment."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(partition, TIMEOUT_S)
        except KafkaException as exc:
            if exc.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                raise
        else:
            return low, high
