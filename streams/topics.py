"""The catalogue against a broker: create what is missing, say what differs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from schemas.errors import BrokerAway, CommandError, TopicMismatch
from schemas.topics import TOPICS, TopicSpec

REQUEST_MS = 10_000
#: how often a new topic is looked for before the broker counts as slow
VISIBLE_TRIES = 50


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a broker says of itself."""

    id: str
    brokers: int
    topics: Mapping[str, int]
    """Name -> partitions."""


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield a connected admin client.

    Raises:
        BrokerAway: nobody answers there.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MS)
    try:
        await client.start()
        yield client
    except (TimeoutError, OSError) as exc:
        raise BrokerAway(f"no broker answers at {bootstrap}: {exc!r}") from exc
    except KafkaError as exc:
        if exc.retriable or isinstance(exc, KafkaConnectionError):
            raise BrokerAway(f"no broker answers at {bootstrap}: {exc}") from exc
        raise CommandError(f"the broker at {bootstrap} refused: {exc}") from exc
    finally:
        await client.close()


async def describe(bootstrap: str) -> Cluster:
    """Return the cluster's id and topics.

    Raises:
        BrokerAway: nobody answers there.
    """
    async with admin(bootstrap) as client:
        return await _describe(client)


async def _describe(client: AIOKafkaAdminClient) -> Cluster:
    metadata: dict[str, Any] = await client.describe_cluster()
    topics = await client.describe_topics()
    return Cluster(
        metadata.get("cluster_id") or "unnamed",
        len(metadata["brokers"]),
        {t["topic"]: len(t["partitions"]) for t in topics if not t["error_code"]},
    )


async def apply(bootstrap: str, *, prefix: str = "", partitions: int = 0) -> list[str]:
    """Create the topics that are missing; return their names.

    Three replicas where there are three brokers, fewer where there are fewer.

    Args:
        bootstrap: `host:port`, by commas.
        prefix: put before every name.
        partitions: of the tick topics, instead of the catalogue's; 0: the catalogue's.

    Raises:
        BrokerAway: nobody answers there.
        CommandError: the broker refused to create one.
    """
    async with admin(bootstrap) as client:
        cluster = await _describe(client)
        missing = [spec for spec in TOPICS if prefix + spec.name not in cluster.topics]
        if not missing:
            return []
        response = await client.create_topics(
            [
                NewTopic(
                    prefix + s.name,
                    s.partitions_here(partitions),
                    min(3, cluster.brokers),
                    topic_configs=s.config,
                )
                for s in missing
            ]
        )
        for name, code, *message in response.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise CommandError(f"the broker refused topic {name}: {for_code(code).__name__} {message}")
        created = [prefix + spec.name for spec in missing]
        for _ in range(VISIBLE_TRIES):
            if not set(created) - (await _describe(client)).topics.keys():
                return created
            await asyncio.sleep(0.1)
        raise BrokerAway(f"created {', '.join(created)}, but the broker does not show them")


def mismatches(
    topics: Mapping[str, int], *, prefix: str = "", partitions: int = 0, specs: Sequence[TopicSpec] = TOPICS
) -> list[str]:
    """Return what a worker cannot work with: missing topics, unequal partition counts."""
    found = []
    for spec in specs:
        name, want = prefix + spec.name, spec.partitions_here(partitions)
        if name not in topics:
            found.append(f"{name}: missing; `tapeflow topics apply` creates it")
        elif topics[name] != want:
            setting = " (TOPIC_PARTITIONS)" if spec.ticks else ""
            found.append(f"{name}: {topics[name]} partitions, {want} expected{setting}")
    return found


def require(cluster: Cluster, *, prefix: str, partitions: int) -> None:
    """Refuse a cluster whose topics are not those of the catalogue.

    Raises:
        TopicMismatch: naming each topic.
    """
    found = mismatches(cluster.topics, prefix=prefix, partitions=partitions)
    if found:
        raise TopicMismatch("; ".join(found))


async def diff(bootstrap: str, *, prefix: str = "", partitions: int = 0) -> list[str]:
    """Return every difference between catalogue and broker, configuration included.

    Raises:
        BrokerAway: nobody answers there.
    """
    async with admin(bootstrap) as client:
        cluster = await _describe(client)
        found = mismatches(cluster.topics, prefix=prefix, partitions=partitions)
        for spec in TOPICS:
            name = prefix + spec.name
            if name in cluster.topics:
                actual = await _config(client, name)
                found += [
                    f"{name}: {key} is {actual.get(key)}, {want} expected"
                    for key, want in spec.config.items()
                    if actual.get(key) != want
                ]
        return found


async def _config(client: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for answer in answers for *_, entries in answer.resources for entry in entries}
