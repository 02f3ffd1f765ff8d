"""A chunk: one fetched slice of one partition, delivered as one Faust message.

Faust spends 64 to 130 µs on a message, whatever is in it; one message a slice brings that to nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol, cast

import faust
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, AppT, ConsumerMessage, EventT, Message
from typing_extensions import override

from streams.tenure import Tenure


class Record(Protocol):
    """What we use of an ``aiokafka.ConsumerRecord``."""

    offset: int
    timestamp: int
    """Milliseconds since the epoch."""
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


Records = list[Record]


class ChunkMessage(ConsumerMessage):
    """A slice; ``value`` is the list of records, ``offset`` that of the last one, so that lag stays right."""

    __slots__ = ("begins", "more", "tenure")

    begins: int
    """Where the slice before it ended; its first record may lie behind a hole in the log."""
    tenure: Tenure
    """Whose slice it is, whether it has ended meanwhile or not."""
    more: bool
    """Whether the fetch that it came with has brought another slice of this topic, which follows."""


class ChunkSchema(faust.Schema[Any, Any]):
    """Passes the list of raw records through: the guard decodes, where a failure cannot be lost."""

    @override
    def compile(
        self,
        app: AppT,
        *,
        on_key_decode_error: Callable[..., Awaitable[None]] | None = None,
        on_value_decode_error: Callable[..., Awaitable[None]] | None = None,
        default_propagate: bool = False,
    ) -> Callable[..., Awaitable[EventT[Any]]]:
        create_event = app.create_event

        async def decode(
            message: Message,
            *,
            propagate: bool = default_propagate,  # noqa: ARG001 - Faust passes it
        ) -> EventT[Any]:
            # no headers: every record in the list keeps its own
            return create_event(None, message.value, cast(Any, None), message)

        return decode


class ChunkScheduler(DefaultSchedulingStrategy):
    """Yields single records of other topics first, then slices, round robin between partitions."""

    def __init__(self, chunk_topics: Set[str], max_records: int) -> None:
        """Take the topics to slice (a live set) and the longest slice."""
        self._chunk_topics = chunk_topics
        self._max_records = max_records

    def slices(self, records: Mapping[TP, list[Any]]) -> Counter[str]:
        """Return how many slices of each topic a fetch is cut into."""
        count: Counter[str] = Counter()
        for tp, batch in records.items():
            if tp.topic in self._chunk_topics:
                count[tp.topic] += -(-len(batch) // self._max_records)
        return count

    @override
    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        single: dict[TP, list[Any]] = {}
        pending: deque[tuple[TP, list[Any], int]] = deque()
        for tp, batch in records.items():
            if tp.topic in self._chunk_topics:
                pending.append((tp, batch, 0))
            else:
                single[tp] = batch
        # jobs are few and must not wait behind ticks
        yield from super().iterate(single)
        size = self._max_records
        while pending:
            tp, batch, start = pending.popleft()
            yield tp, (batch[start : start + size] if len(batch) > size else batch)
            if start + size < len(batch):
                pending.append((tp, batch, start + size))


def chunk_message(
    tp: TP, records: Records, tenure: Tenure, begins: int, generation_id: int, *, more: bool = False
) -> ChunkMessage:
    """Return a slice as one message."""
    last = records[-1]
    message = ChunkMessage(
        topic=tp.topic,
        partition=tp.partition,
        offset=last.offset,
        timestamp=last.timestamp / 1000.0,
        timestamp_type=last.timestamp_type,
        headers=None,
        key=None,
        value=cast(Any, records),
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        tp=tp,
        generation_id=generation_id,
    )
    message.begins = begins
    message.tenure = tenure
    message.more = more
    return message
