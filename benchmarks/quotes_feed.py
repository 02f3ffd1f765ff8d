"""A live feed of raw quotes, in a process of its own: BOOTSTRAP TOPIC RATE SYMBOLS, until SIGTERM.

Every quote says when it was produced (``ts_event``, ``ts_recv``). Once in `PROBE_S` there is one more on each
partition, of a symbol of its own: of those the rows are watched.
"""

from __future__ import annotations

import signal
import sys
import time

from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from benchmarks.fill import PARTITIONS
from benchmarks.quotes_fill import clock_fields, shapes
from domain.clock import SystemClock

STEP_S = 0.002
PROBE_S = 0.05


def probes(partitions: int) -> list[bytes]:
    """Return one symbol for each partition."""
    found: dict[int, bytes] = {}
    n = 0
    while len(found) < partitions:
        name = b"PROBE%d" % n
        found.setdefault((murmur2(name) & 0x7FFFFFFF) % partitions, name)
        n += 1
    return [found[p] for p in range(partitions)]


def main(bootstrap: str, topic: str, rate: float, symbols: int) -> None:
    """Produce in time with the clock; what was late is made up for."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2",
            "linger.ms": 5,  # as Kafka's own producer since 4.0
            "compression.type": "lz4",
            "enable.idempotence": True,
        }
    )
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: stopped.append(signum))
    clock, heads = SystemClock(), shapes(symbols, seed=11)
    quiet, probe = (
        probes(PARTITIONS),
        b'{"symbol":"%s","provider":"sim","bid":1,"ask":2,"ts_event":%d,"ts_recv":%d}',
    )
    begun, sent, next_probe = time.monotonic(), 0, 0.0
    while not stopped:
        elapsed = time.monotonic() - begun
        due = int(elapsed * rate)
        while sent < due:
            key, head = next(heads)
            producer.produce(topic, head % clock_fields(clock.now_ns()), key=key)
            sent += 1
        if elapsed >= next_probe:
            next_probe += PROBE_S
            for name in quiet:
                producer.produce(topic, probe % (name, *clock_fields(clock.now_ns())), key=name)
        producer.poll(0)
        time.sleep(STEP_S)
    producer.flush(30)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
