"""A topic as it grows: every partition, from outside of every group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import BrokerAway, CommandError, DependencyAway
from schemas.topics import TopicSpec
from streams.output import pace_metadata
from streams.settings import Settings
from streams.topics import describe

Start = Literal["beginning", "latest"]
#: so many at a time: what is read is shown before more is read
MAX_RECORDS = 5_000


async def follow(
    settings: Settings, spec: TopicSpec, start: Start, poll_s: float
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    """Yield what comes, each partition in its order, and an empty sequence when nothing came for a while.

    The first one is empty: what is written from then on will be seen.

    Args:
        settings: where, and under which prefix.
        spec: which topic.
        start: with what lies there already, or without.
        poll_s: how long to wait for records, seconds.

    Raises:
        DependencyAway: the broker does not answer at first; later it is waited for.
        CommandError: there is no such topic.
    """
    where, topic = settings.kafka_bootstrap_servers, settings.topic(spec)
    try:
        cluster = await describe(where)
    except BrokerAway as exc:
        raise DependencyAway(str(exc)) from exc
    if topic not in cluster.topics:
        raise CommandError(f"{topic} does not exist at {where}; `tapeflow topics apply` creates it")
    tps = [TopicPartition(topic, partition) for partition in range(cluster.topics[topic])]
    # earliest also where retention overtakes a reader: what is left is shown, not what comes next
    consumer = AIOKafkaConsumer(
        bootstrap_servers=where, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    pace_metadata(consumer._client)  # noqa: SLF001 - there is no other way
    try:
        await consumer.start()
        consumer.assign(tps)
        bounds = consumer.beginning_offsets if start == "beginning" else consumer.end_offsets
        for tp, offset in (await bounds(tps)).items():
            consumer.seek(tp, offset)
        yield ()
        while True:
            batches = await consumer.getmany(timeout_ms=int(poll_s * 1_000), max_records=MAX_RECORDS)
            yield [record for batch in batches.values() for record in batch]
    except KafkaError as exc:
        raise DependencyAway(f"the broker at {where} does not answer: {exc!r}") from exc
    finally:
        await consumer.stop()
