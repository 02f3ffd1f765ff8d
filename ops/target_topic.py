"""The topic that a command is to write to: sending to one that is not there fails only after 40 s."""

from __future__ import annotations

from schemas.errors import BrokerAway, CommandError, DependencyAway
from streams import topics


async def partitions_of(bootstrap: str, topic: str) -> int:
    """Return how many partitions a topic has.

    Args:
        bootstrap: `host:port`, by commas.
        topic: physical name.

    Raises:
        DependencyAway: no broker answers.
        CommandError: there is no such topic.
    """
    try:
        cluster = await topics.describe(bootstrap)
    except BrokerAway as exc:
        raise DependencyAway(f"{exc}; is it up, and is --bootstrap-servers right?") from None
    if topic not in cluster.topics:
        raise CommandError(f"there is no topic {topic} at {bootstrap}; `tapeflow topics apply` creates it")
    return cluster.topics[topic]
