"""What tapeflow asks of a broker, asked of a real Kafka and of the embedded mock alike.

What the mock cannot do is asserted at the end: it creates no topics for clients, describes no
configurations (so there is no LogAppendTime either: records keep the producer's time) and no groups, and
keeps 5 MB of a partition: it drops the oldest, and a consumer that has not read it is not told.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.partitioner import DefaultPartitioner

from domain.clock import SystemClock
from ops.tick_sender import TickSender
from sandbox.mock_broker import KEEPS_BYTES, MockBroker
from schemas.trade import ClockTick, Trade
from streams import topics

PARTITIONS = 4
PATIENCE_S = 30
NOW_MS = SystemClock().now_ns() // 1_000_000


@dataclass(frozen=True)
class Broker:
    """One of the two, with a topic of its own."""

    bootstrap: str
    topic: str

    @property
    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self.topic, p) for p in range(PARTITIONS)]


@pytest.fixture(params=["kafka", "mock"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    topic = f"t{uuid.uuid4().hex[:10]}.trades"
    if request.param == "mock":
        with MockBroker({topic: PARTITIONS}) as mock:
            yield Broker(mock.bootstrap, topic)
        return
    kafka = request.getfixturevalue("kafka")
    async with topics.admin(kafka.bootstrap) as admin:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        yield Broker(kafka.bootstrap, topic)
        await admin.delete_topics([topic])


@pytest.fixture
async def producer(broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, acks="all", enable_idempotence=True, compression_type="lz4"
    ) as producer:
        yield producer


def reader(broker: Broker, **options) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", **options
    )


async def read(consumer: AIOKafkaConsumer, count: int) -> list[Any]:
    """Exactly so many records: neither fewer nor, within a moment, more."""
    records: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(records) < count:
            for some in (await consumer.getmany(timeout_ms=200)).values():
                records += some
    more = await consumer.getmany(timeout_ms=200)
    assert not more
    return records


async def fill(broker: Broker, producer: AIOKafkaProducer, count: int, partition: int = 0) -> None:
    for i in range(count):
        await producer.send(broker.topic, b"%d" % i, partition=partition)
    await producer.flush()


async def test_it_says_its_id_and_its_topics(broker: Broker) -> None:
    cluster = await topics.describe(broker.bootstrap)
    assert cluster.id not in {"", "unnamed"}
    assert cluster.brokers >= 1
    assert cluster.topics[broker.topic] == PARTITIONS
    assert (await topics.describe(broker.bootstrap)).id == cluster.id


async def test_records_keep_key_value_headers_time_and_the_order_of_their_key(
    broker: Broker, producer: AIOKafkaProducer
) -> None:
    keys = [b"SIM%02d" % (i % 17) for i in range(500)]
    for i, key in enumerate(keys):
        headers = [("schema", b"trade-tick.v1"), ("n", b"%d" % i), ("empty", b"")]
        await producer.send(broker.topic, b"value %d" % i, key=key, timestamp_ms=NOW_MS + i, headers=headers)
    await producer.send(broker.topic, None, key=b"gone", partition=3)
    await producer.send(broker.topic, b"value 500", partition=2)
    await producer.flush()
    async with reader(broker) as consumer:
        consumer.assign(broker.partitions)
        records = await read(consumer, 502)
    (tombstone,) = [r for r in records if r.value is None]
    assert (tombstone.key, tombstone.partition) == (b"gone", 3)
    (keyless,) = [r for r in records if r.key is None]
    assert (keyless.value, keyless.partition, keyless.headers) == (b"value 500", 2, ())
    records = [r for r in records if r.key in keys]
    choose, all_of_them = DefaultPartitioner(), list(range(PARTITIONS))
    for record in records:
        i = int(record.value.split()[1])
        assert record.key == keys[i]
        assert record.partition == choose(record.key, all_of_them, all_of_them)
        assert record.headers == (("schema", b"trade-tick.v1"), ("n", b"%d" % i), ("empty", b""))
        assert record.timestamp == NOW_MS + i
    for p in range(PARTITIONS):
        numbers = [int(r.value.split()[1]) for r in records if r.partition == p]
        assert numbers
        assert numbers == sorted(numbers)
        assert [r.offset for r in records if r.partition == p] == list(range(len(numbers)))


async def test_reading_starts_at_any_offset(broker: Broker, producer: AIOKafkaProducer) -> None:
    await fill(broker, producer, 20)
    async with reader(broker) as consumer:
        consumer.assign(broker.partitions)
        tp = broker.partitions[0]
        for start in (7, 0, 19):
            consumer.seek(tp, start)
            records = await read(consumer, 20 - start)
            assert [(r.offset, r.value) for r in records] == [(i, b"%d" % i) for i in range(start, 20)]


async def test_the_ends_of_partitions_are_known(broker: Broker, producer: AIOKafkaProducer) -> None:
    await fill(broker, producer, 20, partition=1)
    async with reader(broker) as consumer:
        starts = await consumer.beginning_offsets(broker.partitions)
        ends = await consumer.end_offsets(broker.partitions)
    assert list(starts.values()) == [0] * PARTITIONS
    assert [ends[tp] for tp in broker.partitions] == [0, 20, 0, 0]


async def test_a_group_goes_on_where_it_committed(broker: Broker, producer: AIOKafkaProducer) -> None:
    await fill(broker, producer, 20)
    tp, group = broker.partitions[0], f"g{uuid.uuid4().hex[:8]}"
    options = {"group_id": group, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000}
    async with reader(broker, **options) as consumer:
        consumer.subscribe([broker.topic])
        await read(consumer, 20)
        assert consumer.assignment() == set(broker.partitions)
        assert await consumer.committed(tp) is None
        await consumer.commit({tp: 12})
        assert await consumer.committed(tp) == 12
    async with reader(broker, **options) as consumer:
        consumer.subscribe([broker.topic])
        assert [r.offset for r in await read(consumer, 8)] == list(range(12, 20))
        assert await consumer.committed(tp) == 12
    async with reader(broker, group_id=f"{group}-other") as consumer:
        assert await consumer.committed(tp) is None


async def test_the_tick_sender_reaches_every_partition(broker: Broker) -> None:
    trades = [Trade(f"SIM{i % 9:02}", 1_700_000_000_000_000_000 + i, 1.0, 1.0, "sim") for i in range(3_000)]
    async with TickSender(broker.bootstrap, broker.topic, SystemClock()) as sender:
        await sender.send(trades, [b"%d" % i for i in range(len(trades))])
        await sender.send_clock(ClockTick(type="clock", ts_event=1_700_000_000_000_000_000, provider="sim"))
        await sender.finish()
        assert sender.acknowledged == len(trades)
    async with reader(broker) as consumer:
        consumer.assign(broker.partitions)
        records = await read(consumer, len(trades) + PARTITIONS)
    last = {r.partition: r for r in records}
    assert all(b'"clock"' in last[p].value for p in range(PARTITIONS))
    assert sorted(int(r.value) for r in records if r.key) == list(range(len(trades)))


@pytest.fixture
def mock() -> Iterator[Broker]:
    with MockBroker({"trades": PARTITIONS}) as running:
        yield Broker(running.bootstrap, "trades")


async def test_the_mock_creates_no_topics_for_clients(mock: Broker) -> None:
    async with topics.admin(mock.bootstrap) as admin:
        # it names no controller, and aiokafka does not expect that
        with pytest.raises(AttributeError, match="nodeId"):
            await admin.create_topics([NewTopic("another", 1, 1)])
    assert set((await topics.describe(mock.bootstrap)).topics) == {"trades"}


async def test_the_mock_describes_no_configurations_and_no_groups(mock: Broker) -> None:
    async with topics.admin(mock.bootstrap) as admin:
        with pytest.raises(IncompatibleBrokerVersion):
            await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "trades")])
        with pytest.raises(IncompatibleBrokerVersion):
            await admin.list_consumer_groups()


async def test_the_mock_drops_what_is_beyond_5_mb_of_a_partition(mock: Broker) -> None:
    chunk = b"x" * 200_000
    count = 2 * KEEPS_BYTES // len(chunk)
    async with AIOKafkaProducer(bootstrap_servers=mock.bootstrap) as producer:
        for _ in range(count):
            await producer.send_and_wait(mock.topic, chunk, partition=0)
    tp = mock.partitions[0]
    async with reader(mock) as consumer:
        start = (await consumer.beginning_offsets([tp]))[tp]
        assert (await consumer.end_offsets([tp]))[tp] == count
    kept = (count - start) * len(chunk)
    assert KEEPS_BYTES - 2 * len(chunk) < kept <= KEEPS_BYTES
