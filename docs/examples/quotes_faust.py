"""A Faust app that says when a spread is wide, and when nobody can know.

Run it: python quotes_faust.py worker --without-web -l warn
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator

import faust
from faust.types import TP

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC = os.environ.get("TOPIC_PREFIX", "") + "md.quotes.v1"
WIDE = 0.01

log = logging.getLogger("spreads")

app = faust.App(
    os.environ.get("GROUP", "wide-spreads"),
    broker=[f"kafka://{server}" for server in SERVERS.split(",")],
    consumer_auto_offset_reset="earliest",
    topic_allow_declare=False,
    topic_disable_leader=True,
)
quotes = app.topic(TOPIC, value_serializer="json")

last: dict[int, dict[str, int]] = {}
"""By partition: the last number of each symbol."""
markers: set[bytes] = set()


def is_new(partition: int, key: bytes, value: dict) -> bool:
    """Say whether a record is no repeat."""
    numbers = last.setdefault(partition, {})
    if value.get("type") == "marker":
        if key in markers:
            return False
        markers.add(key)
        if "provider" not in value:
            numbers.clear()  # the numbers of this partition begin anew
        return True
    if value["n"] <= numbers.get(value["symbol"], 0):
        return False
    numbers[value["symbol"]] = value["n"]
    return True


@app.on_partitions_revoked.connect
async def forget(_app: faust.App, revoked: set[TP], **_kwargs: object) -> None:
    """Forget the numbers of partitions that others read from now on."""
    for partition in revoked:
        last.pop(partition.partition, None)


@app.agent(quotes)
async def watch(stream: AsyncIterator[dict]) -> None:
    """Watch all symbols; whatever is acknowledged here has been said."""
    async for event in stream.events():
        message, value = event.message, event.value
        if not is_new(message.partition, dict(message.headers)["id"], value):
            continue
        if value.get("type") == "marker":
            who = value.get("provider", "tapeflow")
            log.warning("partition %d: %s: %s", message.partition, who, value["reason"])
        elif "bid" in value and "ask" in value and value["ask"] - value["bid"] > WIDE * value["ask"]:
            log.warning("%s #%d: %s to %s", value["symbol"], value["n"], value["bid"], value["ask"])


if __name__ == "__main__":
    app.main()
