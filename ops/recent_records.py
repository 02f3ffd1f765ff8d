"""What lies on a topic since some time, or in all: read once, from outside of every group."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from schemas.control import ControlMessage
from schemas.errors import BrokerAway, CommandError, DependencyAway
from schemas.outcome import ProviderOutcome
from schemas.topics import CONTROL, PROVIDER_OUTCOMES
from streams.settings import Settings, digest
from streams.topics import describe

POLL_MS = 200
MS_NS = 1_000_000

Recorded = tuple[int, int, ProviderOutcome]
"""Partition, when the broker took it (nanoseconds since the epoch), the outcome."""


async def last_control(settings: Settings) -> tuple[int, ControlMessage] | None:
    """Return the fleet's settings and their number, as every worker reads them; None before the first reload.

    Raises:
        DependencyAway: the broker does not answer.
        CommandError: there is no such topic.
    """
    found = None
    for record in await _records(settings, settings.topic(CONTROL), 0):
        try:
            message = ControlMessage.model_validate_json(record.value or b"")
        except ValidationError:  # a worker puts it among the dead letters
            continue
        if digest(message.document) == message.digest:
            found = (record.offset + 1, message)
    return found


async def recent_outcomes(settings: Settings, since_ns: int) -> list[Recorded]:
    """Return the outcomes that the broker took since a time, each partition in its order.

    Args:
        settings: where, and under which prefix.
        since_ns: nanoseconds since the epoch, UTC.

    Raises:
        DependencyAway: the broker does not answer.
        CommandError: there is no such topic.
    """
    found: list[Recorded] = []
    topic = settings.topic(PROVIDER_OUTCOMES)
    for record in await _records(settings, topic, -(-since_ns // MS_NS)):
        try:
            outcome = ProviderOutcome.model_validate_json(record.value or b"")
        except ValidationError:  # the fold puts it among the dead letters
            continue
        found.append((record.partition, record.timestamp * MS_NS, outcome))
    return found


async def _records(settings: Settings, topic: str, since_ms: int) -> list[ConsumerRecord]:
    """Return the records of all partitions that are not older, up to where the partitions end now."""
    where = settings.kafka_bootstrap_servers
    try:
        cluster = await describe(where)
    except BrokerAway as exc:
        raise DependencyAway(str(exc)) from exc
    if topic not in cluster.topics:
        raise CommandError(f"{topic} does not exist at {where}; `tapeflow topics apply` creates it")
    tps = [TopicPartition(topic, p) for p in range(cluster.topics[topic])]
    records: list[ConsumerRecord] = []
    async with _consumer(where) as consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        starts = await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))
        for tp in tps:
            consumer.seek(tp, starts[tp].offset if starts[tp] else ends[tp])
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, batch in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                records += (record for record in batch if record.offset < ends[tp])
    return records


@asynccontextmanager
async def _consumer(where: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=where, group_id=None, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    except KafkaError as exc:
        raise DependencyAway(f"the broker at {where} does not answer: {exc!r}") from exc
    finally:
        await consumer.stop()
