"""Print quotes as lines. Start it as often as there are partitions: the processes of a group share them.

At least once: what was printed and not yet committed when a process is killed is printed again by the next
one. Whoever reads the lines drops those whose `id` has been there.
"""

from __future__ import annotations

import json
import os
import sys

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC = os.environ.get("TOPIC_PREFIX", "") + "md.quotes.v1"

last: dict[int, dict[str, int]] = {}
"""By partition: the last number of each symbol."""
markers: set[str] = set()


def is_new(partition: int, key: str, value: dict) -> bool:
    """Say whether a record is no repeat."""
    numbers = last.setdefault(partition, {})
    if value.get("type") == "marker":
        if key in markers:
            return False
        markers.add(key)
        if "provider" not in value:
            numbers.clear()  # the numbers of this partition begin anew
        return True
    if value["n"] <= numbers.get(value["symbol"], 0):
        return False
    numbers[value["symbol"]] = value["n"]
    return True


def forget(_consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """Forget the numbers of partitions that others read from now on."""
    for partition in partitions:
        last.pop(partition.partition, None)


def show(message: Message) -> None:
    """Print one record, unless it is a repeat."""
    value = json.loads(message.value())
    key = dict(message.headers())["id"].decode()
    if is_new(message.partition(), key, value):
        sys.stdout.write(json.dumps({"id": key, **value}) + "\n")


def main(group: str) -> None:
    """Read for ever."""
    consumer = Consumer(
        {
            "bootstrap.servers": SERVERS,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,  # after so long others go on with what a killed process had
        }
    )
    consumer.subscribe([TOPIC], on_revoke=forget, on_lost=forget)
    try:
        while True:
            messages = consumer.consume(1_000, timeout=0.5)
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                show(message)
            sys.stdout.flush()
            if messages:
                consumer.commit(asynchronous=False)  # after it is printed, never before
    finally:
        consumer.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "my-quotes")
