"""Stored positions, read and put right by hand: what ``tapeflow offsets`` does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from ops.database import connected
from schemas.errors import BrokerAway, CommandError
from sinks.database import Connection
from sinks.offsets import OffsetSink, Partition, Stored
from streams.lanes import CandleLane, Lane, QuoteLane
from streams.positions import starting_at
from streams.settings import Settings
from streams.topics import admin, describe

#: by the name of their input
LANES: Mapping[str, type[Lane[Any]]] = {"trades": CandleLane, "quotes": QuoteLane}
COORDINATOR_TRIES = 50
COORDINATOR_PACE_S = 0.2


@dataclass(frozen=True, slots=True)
class Position:
    """Where one partition stands, as database, group and broker say."""

    topic: str
    partition: int
    begin: int
    committed: int | None
    stored: int | None
    resume: int | None
    end: int

    @property
    def verdict(self) -> str:
        """One word: ok, new, beyond_end, before_begin, committed_ahead."""
        if self.stored is None or self.resume is None:
            return "new"
        if self.stored > self.end:
            return "beyond_end"
        if self.resume < self.begin:
            return "before_begin"
        return "committed_ahead" if (self.committed or 0) > self.stored else "ok"


@dataclass(frozen=True, slots=True)
class Ledger:
    """All positions of the sink on one cluster."""

    cluster: str
    positions: tuple[Position, ...]
    lane: type[Lane[Any]] = CandleLane


async def read(settings: Settings, lane: type[Lane[Any]] = CandleLane) -> Ledger:
    """Return where every partition of a lane's input stands.

    Raises:
        BrokerAway: the broker does not answer.
        DependencyAway: the database does not answer.
        ConfigInvalid: its URL is none.
        CommandError: a topic or a table is missing.
    """
    where = settings.kafka_bootstrap_servers
    cluster = await describe(where)
    topic = settings.topic(lane.source)
    if topic not in cluster.topics:
        raise CommandError(f"{topic} does not exist at {where}; `tapeflow topics apply` creates it")
    tps = [TopicPartition(topic, p) for p in range(cluster.topics[topic])]
    async with _consumer(where) as consumer:
        begin, end = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    async with admin(where) as client:
        group = await _coordinated(
            lambda: client.list_consumer_group_offsets(settings.kafka_group, partitions=tps)
        )
    with _connected(settings) as connection:
        stored = OffsetSink(lane.sink, cluster.id).all(connection)
    return Ledger(
        cluster.id,
        tuple(
            _position(tp, begin[tp], end[tp], group[tp].offset, stored.get((tp.topic, tp.partition)))
            for tp in tps
        ),
        lane,
    )


def _position(tp: TopicPartition, begin: int, end: int, committed: int, stored: Stored | None) -> Position:
    return Position(
        tp.topic,
        tp.partition,
        begin,
        committed if committed >= 0 else None,
        stored.next_offset if stored else None,
        stored.resume_offset if stored else None,
        end,
    )


def target(position: Position, to: str) -> int:
    """Return the offset that ``to`` means for a partition.

    Args:
        position: where it stands.
        to: ``earliest``, ``latest`` or a number.

    Raises:
        CommandError: the number is outside the partition.
    """
    offset = {"earliest": position.begin, "latest": position.end}.get(to)
    if offset is None:
        offset = int(to)
    if not position.begin <= offset <= position.end:
        raise CommandError(
            f"{position.topic}[{position.partition}] holds {position.begin}..{position.end}, not {offset}"
        )
    return offset


async def members(settings: Settings) -> int:
    """Return how many workers are in the group.

    Raises:
        BrokerAway: the broker does not answer.
    """
    async with admin(settings.kafka_bootstrap_servers) as client:
        answers = await _coordinated(lambda: client.describe_consumer_groups([settings.kafka_group]))
        return sum(len(group[5]) for answer in answers for group in answer.groups)


async def reset(settings: Settings, ledger: Ledger, offsets: Mapping[Partition, int]) -> None:
    """Put positions where they are wanted; what is skipped becomes a gap.

    The group's offset goes back first where it would lead, so that it never does.

    Raises:
        BrokerAway: the broker does not answer.
        DependencyAway: the database does not answer.
    """
    leading = {
        TopicPartition(p.topic, p.partition): to
        for p in ledger.positions
        if (to := offsets.get((p.topic, p.partition))) is not None and (p.committed or 0) > to
    }
    if leading:
        async with _consumer(settings.kafka_bootstrap_servers, settings.kafka_group) as consumer:
            consumer.assign(list(leading))
            await consumer.commit(leading)
    with _connected(settings) as connection:
        OffsetSink(ledger.lane.sink, ledger.cluster).reset(
            connection, {tp: starting_at(offset) for tp, offset in offsets.items()}
        )


async def _coordinated(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask about a group: a new broker has no coordinator until it has made the topic of offsets."""
    for _ in range(COORDINATOR_TRIES):
        try:
            return await ask()
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(COORDINATOR_PACE_S)
    return await ask()


@asynccontextmanager
async def _consumer(where: str, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=where, group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    except KafkaError as exc:
        raise BrokerAway(f"the broker at {where} does not answer: {exc!r}") from exc
    finally:
        await consumer.stop()


def _connected(settings: Settings) -> AbstractContextManager[Connection]:
    url = settings.database_url.get_secret_value()
    return connected(url, lacks="no table sink_offsets", read_only=False)
