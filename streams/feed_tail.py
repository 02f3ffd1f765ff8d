"""What the last active feed promised, read from the ends of the partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import BrokerAway
from streams.output import Target

#: so many records are looked at first; ten and a hundred times as many where no clock is among them
LOOK_BACK: Final = (300, 3_000, 30_000)
#: of one fetch
WAIT_MS: Final = 500
PATIENCE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class LastWord:
    """What a feed's clock records near the ends say."""

    promised_ns: int
    """Event time of the last one that every partition has, at the least."""
    delay_ns: int
    """How long after its event time the broker got one, at the least."""


class _Said(msgspec.Struct):
    provider: str
    ts_event: int
    feed: str = ""
    type: str = ""


_decode: Final = msgspec.json.Decoder(_Said).decode


async def last_word(bootstrap: str, targets: Iterable[Target], provider: str, feed: str) -> LastWord | None:
    """Return the least of the last clock records of a feed; None if a partition has none near its end.

    Raises:
        BrokerAway: the partitions cannot be read now.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=WAIT_MS,
        request_timeout_ms=PATIENCE_MS,
    )
    try:
        await consumer.start()
        wanted = [TopicPartition(*target) for target in targets]
        begins = await consumer.beginning_offsets(wanted)
        ends = await consumer.end_offsets(wanted)
        found: dict[TopicPartition, LastWord] = {}
        looked = 0
        for back in LOOK_BACK:
            left = [tp for tp in wanted if tp not in found and ends[tp] - begins[tp] > looked]
            if not left:
                break
            starts = {tp: max(begins[tp], ends[tp] - back) for tp in left}
            found |= await _look(consumer, starts, ends, (provider, feed))
            looked = back
    except (KafkaError, OSError) as exc:
        raise BrokerAway(f"the ends of the feed's topics cannot be read: {exc!r}") from exc
    finally:
        await consumer.stop()
    if len(found) < len(wanted):
        return None
    words = found.values()
    return LastWord(min(word.promised_ns for word in words), min(word.delay_ns for word in words))


async def _look(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    who: tuple[str, str],
) -> dict[TopicPartition, LastWord]:
    consumer.assign(list(starts))
    for tp, start in starts.items():
        consumer.seek(tp, start)
    unread = set(starts)
    found: dict[TopicPartition, LastWord] = {}
    while unread:
        for tp, records in (await consumer.getmany(*unread, timeout_ms=WAIT_MS)).items():
            for record in records:
                word = _clock(record.value, record.timestamp, who)
                if word is not None:
                    delay = min(word.delay_ns, found[tp].delay_ns) if tp in found else word.delay_ns
                    found[tp] = LastWord(word.promised_ns, delay)
        unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    return found


def _clock(value: bytes | None, timestamp_ms: int, who: tuple[str, str]) -> LastWord | None:
    # few records are clocks: most are told apart by their bytes
    if value is None or b'"clock"' not in value:
        return None
    try:
        said = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # others write here too; what is wrong with it is the business of those who consume it
    if said.type != "clock" or (said.provider, said.feed) != who:
        return None
    return LastWord(said.ts_event, timestamp_ms * 1_000_000 - said.ts_event)
