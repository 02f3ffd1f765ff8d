"""Produce a file of tests/market.py, in its order: FILE BOOTSTRAP TOPIC [RATE]."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from confluent_kafka import Producer


def main(path: str, bootstrap: str, topic: str, rate: float) -> None:
    """Produce at a rate, 0 = as fast as it goes; idempotent, so that order within a partition is kept."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "linger.ms": 5 if rate else 50,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
            "message.timeout.ms": 300_000,
        }
    )
    failed = []
    begun = time.perf_counter()
    with Path(path).open("rb") as lines:
        for i, line in enumerate(lines):
            key, _, value = line[:-1].partition(b"\t")
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key=key,
                        on_delivery=lambda error, _: failed.append(error) if error else None,
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
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
