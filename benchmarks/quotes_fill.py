"""Topics with raw quotes in them: the same for every contender."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import accumulate

from confluent_kafka import Producer

from benchmarks.fill import PARTITIONS, Filled
from domain.clock import SystemClock
from schemas.topics import QUOTES_RAW
from streams import topics

SYMBOLS = 500
#: what one draw of random numbers is stretched to: the generator must not be what is measured
SAMPLE = 50_000


async def bulk(bootstrap: str, quotes: int) -> Filled:
    """Fill a new set of topics with so many quotes."""
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    await topics.apply(bootstrap, prefix=prefix, partitions=PARTITIONS)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "linger.ms": 20,
            "compression.type": "lz4",
        }
    )
    topic, clock = prefix + QUOTES_RAW.name, SystemClock()
    heads = shapes(SYMBOLS, seed=7)
    for i in range(quotes):
        key, head = next(heads)
        while True:
            try:
                producer.produce(topic, head % clock_fields(clock.now_ns()), key=key)
                break
            except BufferError:
                producer.poll(0.1)
        if i % 1_000 == 0:
            producer.poll(0)
    if left := producer.flush(120):
        raise SystemExit(f"{left} quotes could not be delivered")
    return Filled(prefix, quotes)


def clock_fields(now_ns: int) -> tuple[int, int]:
    """Return what a quote of this moment says of its time."""
    return now_ns, now_ns


def shapes(symbols: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield for ever: key and value of a quote; its two times are left to be filled in."""
    draw = random.Random(seed)
    names = [b"SIM%04d" % n for n in range(symbols)]
    weights = list(accumulate(1 / (n + 20) for n in range(symbols)))
    mids = [draw.randrange(500, 50_000) for _ in names]
    while True:
        for k in draw.choices(range(symbols), cum_weights=weights, k=SAMPLE):
            mids[k] = mid = max(100, mids[k] + draw.randrange(-2, 3))
            yield (
                names[k],
                b'{"symbol":"%s","ts_event":%%d,"bid":%.2f,"bid_size":%d,"ask":%.2f,"ask_size":%d,'
                b'"provider":"alpaca","feed":"sip","bid_venue":"V","ask_venue":"Q","conditions":"R","tape":"C",'
                b'"ts_recv":%%d}'
                % (names[k], mid / 100, 100 + k, (mid + 1 + mid % 3) / 100, 200 + mid % 500),
            )
