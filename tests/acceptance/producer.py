"""Produce a file of tests/market.py, in its order: FILE BOOTSTRAP TOPIC [RATE]."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from confluent_kafka import Producer

from tests.market import Line, read_lines

#: librdkafka's RD_KAFKA_PARTITION_UA
WHERE_THE_KEY_BELONGS = -1


def send(lines: Iterable[Line], bootstrap: str, topic: str, rate: float) -> None:
    """Produce at a rate, 0 = as fast as it goes; idempotent, so that order within a partition is kept."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            # as Java and aiokafka do it; records without a key all go to one partition
            "partitioner": "murmur2",
            "linger.ms": 5 if rate else 50,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
            "message.timeout.ms": 300_000,
        }
    )
    failed: list[object] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failed.append(error)

    begun = time.perf_counter()
    for i, line in enumerate(lines):
        partition = WHERE_THE_KEY_BELONGS if line.partition is None else line.partition
        while True:
            try:
                producer.produce(
                    topic,
                    line.value,
                    key=line.key,
                    partition=partition,
                    on_delivery=delivered,
                    headers=list(line.headers),
                )
                break
            except BufferError:
                producer.poll(0.1)
        if i % 200 == 0:
            producer.poll(0)
            if rate and (ahead := i / rate - (time.perf_counter() - begun)) > 0:
                time.sleep(ahead)
    left = producer.flush(300)
    if failed or left:
        sys.exit(f"{len(failed)} failed ({failed[:1]}), {left} not delivered")


if __name__ == "__main__":
    send(
        read_lines(Path(sys.argv[1])),
        sys.argv[2],
        sys.argv[3],
        float(sys.argv[4]) if len(sys.argv) > 4 else 0.0,
    )
