"""Quotes for consumers, with repeats and markers, and what is left of them without repeats."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Producer

from schemas.quote import L1Quote, Marker, encode_quote
from schemas.topics import QUOTES

#: 2025-11-10T17:23:53.971744500Z
START_NS = 1_762_795_433_971_744_500
SYMBOLS = ("AAPL", "MSFT", "BRK.B", "XBT/USDT", "ETH/USDT", "IBM", "NVDA")
TIMEOUT_S = 30.0


@dataclass
class Stream:
    """What was written."""

    quotes: list[tuple[int, L1Quote]] = field(default_factory=list)
    """(partition, quote), each once, in the order of the first time."""
    markers: list[tuple[int, str, Marker]] = field(default_factory=list)
    """(partition, id, marker), each once."""
    records: list[tuple[int, bytes | None, bytes, list[tuple[str, bytes]]]] = field(default_factory=list)
    """All of it, repeats too: partition, key, value, headers."""

    def of(self, *symbols: str) -> list[L1Quote]:
        """The quotes of some symbols."""
        return [quote for _, quote in self.quotes if quote.symbol in symbols]

    def expected(self) -> dict[str, list[int]]:
        """By symbol: the times of its quotes, in order."""
        found: dict[str, list[int]] = {}
        for _, quote in self.quotes:
            found.setdefault(quote.symbol, []).append(quote.ts_event)
        return found


def stream(quotes: int = 2_000, seed: int = 7, *, restarts: bool = True) -> Stream:
    """Make a stream as workers leave it that were killed now and then.

    A third of the way a feed tells a hole, on every partition. Two thirds of the way the numbers of
    partition 0 begin anew, at 1, as after a topic that was made again. Now and then the last few records of a
    partition are repeated.

    Args:
        quotes: so many, without repeats.
        seed: of everything.
        restarts: with the numbers that begin anew.
    """
    rng = random.Random(seed)
    made = Stream()
    homes = {symbol: i % 3 for i, symbol in enumerate(SYMBOLS)}
    numbers = dict.fromkeys(SYMBOLS, 0)
    recent: dict[int, list[Any]] = {p: [] for p in range(QUOTES.partitions)}

    def write(partition: int, record: Any) -> None:
        made.records.append(record)
        recent[partition].append(record)

    for i in range(quotes):
        if i == quotes // 3:
            for partition in range(QUOTES.partitions):
                marker = Marker(START_NS + i, "connection lost: 1006", "polygon", "sip", START_NS + i - 900)
                mark(made, write, partition, str(1_000 + i), marker)
        if i == 2 * quotes // 3 and restarts:
            mark(made, write, 0, f"{1_000 + i}.start", Marker(START_NS + i, "position reset"))
            recent[0] = recent[0][-1:]
            numbers |= {symbol: 0 for symbol in SYMBOLS if homes[symbol] == 0}
        symbol = rng.choice(SYMBOLS)
        numbers[symbol] += 1
        quote = _quote(rng, symbol, numbers[symbol], START_NS + i * 1_000_003)
        made.quotes.append((homes[symbol], quote))
        write(homes[symbol], _record(homes[symbol], quote))
        if rng.random() < 0.02:
            partition = homes[symbol]
            made.records += recent[partition][-rng.randint(1, 20) :]
        if i == 2 * quotes // 3 + 50 and restarts:
            # all since the numbers began anew, the marker that says so first
            made.records += recent[0]
    return made


def mark(made: Stream, write: Any, partition: int, place: str, marker: Marker) -> None:
    """Write a marker."""
    key = f"marker|{partition}|{place}"
    made.markers.append((partition, key, marker))
    write(partition, (partition, None, encode_quote(marker), _headers("quote-marker.v1", key)))


def produce(bootstrap: str, topic: str, records: list[Any]) -> None:
    """Write records, and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True})
    for partition, key, value, headers in records:
        producer.produce(topic, value, key=key, partition=partition, headers=headers)
        producer.poll(0)
    assert producer.flush(TIMEOUT_S) == 0


def _record(partition: int, quote: L1Quote) -> tuple[int, bytes, bytes, list[tuple[str, bytes]]]:
    value = encode_quote(quote)
    if quote.n % 5 == 0:
        # a newer tapeflow says more than a reader of today knows
        value = msgspec.json.encode({**msgspec.json.decode(value), "added_later": {"n": -1}})
    return partition, quote.symbol.encode(), value, _headers("quote.v1", quote.id)


def _headers(schema: str, key: str) -> list[tuple[str, bytes]]:
    return [("content-type", b"application/json"), ("schema", schema.encode()), ("id", key.encode())]


def _quote(rng: random.Random, symbol: str, n: int, ts_event: int) -> L1Quote:
    bid = rng.choice([None, *[round(100 + rng.random(), 2)] * 6])
    ask = None if bid is not None and rng.random() < 0.1 else round(100.5 + 2 * rng.random(), 2)
    provider, feed = rng.choice([("polygon", "sip"), ("polygon", "sip"), ("kraken", "")])
    flags = ("one_sided",) if bid is None or ask is None else ("crossed",) * (bid > ask)
    return L1Quote(
        symbol, ts_event, n, provider,
        bid, None if bid is None else float(rng.randint(1, 900)),
        ask, None if ask is None else float(rng.randint(1, 900)),
        feed=feed, seq=rng.choice([0, n]), flags=flags,
    )  # fmt: skip
