"""The catalogue against a real broker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.errors import BrokerAway, TopicMismatch
from schemas.topics import CANDLES, DEAD_LETTERS, TOPICS, TRADES
from streams import topics

pytestmark = pytest.mark.integration

NAMES = [spec.name for spec in TOPICS]


@pytest.fixture
def bootstrap(kafka: Any) -> str:
    return str(kafka.bootstrap)


@pytest.fixture
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    yield client
    await client.close()


async def create(bootstrap: str, name: str, partitions: int, config: dict[str, str] | None = None) -> None:
    async with topics.admin(bootstrap) as client:
        response = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        assert [code for _, code, *_ in response.topic_errors] == [0]
    while name not in (await topics.describe(bootstrap)).topics:
        await asyncio.sleep(0.05)


async def set_config(admin: AIOKafkaAdminClient, topic: str, **config: str) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)
    (answer,) = await admin.alter_configs([resource])
    assert [code for code, *_ in answer.resources] == [0]


def nobody() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


async def test_what_is_missing_is_created_as_the_catalogue_says_and_only_once(bootstrap, topic_prefix):
    missing = await topics.diff(bootstrap, prefix=topic_prefix)
    assert missing == [f"{topic_prefix}{n}: missing; `tapeflow topics apply` creates it" for n in NAMES]
    created = await topics.apply(bootstrap, prefix=topic_prefix)
    assert created == [topic_prefix + name for name in NAMES]
    cluster = await topics.describe(bootstrap)
    assert {n: cluster.topics[topic_prefix + n] for n in NAMES} == {s.name: s.partitions for s in TOPICS}
    assert await topics.diff(bootstrap, prefix=topic_prefix) == []
    assert await topics.apply(bootstrap, prefix=topic_prefix) == []


async def test_only_what_is_missing_is_created(bootstrap, topic_prefix):
    await create(bootstrap, topic_prefix + CANDLES.name, 2)
    created = await topics.apply(bootstrap, prefix=topic_prefix, partitions=2)
    assert created == [topic_prefix + spec.name for spec in TOPICS if spec is not CANDLES]


async def test_another_prefix_is_another_catalogue(bootstrap, topic_prefix):
    await topics.apply(bootstrap, prefix=topic_prefix, partitions=1)
    assert len(await topics.diff(bootstrap, prefix=f"{topic_prefix}x.", partitions=1)) == len(TOPICS)


async def test_a_wrong_number_of_partitions_is_told_and_stops_a_worker(bootstrap, topic_prefix):
    await create(bootstrap, topic_prefix + TRADES.name, 3, TRADES.config)
    await topics.apply(bootstrap, prefix=topic_prefix, partitions=4)
    expected = f"{topic_prefix}md.trades.v1: 3 partitions, 4 expected (TOPIC_PARTITIONS)"
    assert await topics.diff(bootstrap, prefix=topic_prefix, partitions=4) == [expected]
    cluster = await topics.describe(bootstrap)
    with pytest.raises(TopicMismatch) as mismatch:
        topics.require(cluster, prefix=topic_prefix, partitions=4)
    assert str(mismatch.value) == expected
    assert mismatch.value.exit_code == 3


async def test_a_missing_topic_stops_a_worker_by_its_name(bootstrap, topic_prefix):
    cluster = await topics.describe(bootstrap)
    with pytest.raises(TopicMismatch) as mismatch:
        topics.require(cluster, prefix=topic_prefix, partitions=0)
    assert all(f"{topic_prefix}{name}: missing" in str(mismatch.value) for name in NAMES)
    await topics.apply(bootstrap, prefix=topic_prefix)
    topics.require(await topics.describe(bootstrap), prefix=topic_prefix, partitions=0)


async def test_a_changed_setting_is_named(bootstrap, topic_prefix, admin):
    await topics.apply(bootstrap, prefix=topic_prefix, partitions=1)
    changed = topic_prefix + DEAD_LETTERS.name
    await set_config(admin, changed, **DEAD_LETTERS.config | {"retention.ms": "1000"})
    found: list[str] = []
    while not found:  # the broker shows it a moment later
        found = await topics.diff(bootstrap, prefix=topic_prefix, partitions=1)
    assert found == [f"{changed}: retention.ms is 1000, {DEAD_LETTERS.retention_ms} expected"]
    topics.require(await topics.describe(bootstrap), prefix=topic_prefix, partitions=1)


async def test_the_broker_stamps_the_records_itself(bootstrap, topic_prefix, admin):
    """A verdict on the future must be the same when a record is folded again."""
    await topics.apply(bootstrap, prefix=topic_prefix, partitions=1)
    for spec in TOPICS:
        config = await topics._config(admin, topic_prefix + spec.name)
        assert config["message.timestamp.type"] == "LogAppendTime"
        assert config["max.message.bytes"] == str(spec.max_message_bytes)


async def test_a_cluster_has_an_id_that_stays(bootstrap):
    first, second = await topics.describe(bootstrap), await topics.describe(bootstrap)
    assert first.id == second.id
    assert first.id not in ("", "unnamed")
    assert first.brokers >= 1


@pytest.mark.parametrize("ask", [topics.describe, topics.diff, topics.apply])
async def test_nobody_there_is_an_outage_that_names_the_address(ask):
    where = nobody()
    with pytest.raises(BrokerAway, match=f"no broker answers at {where}"):
        await ask(where)
