"""Slices: what a fetch brought of one partition; those of one fetch are delivered as one Faust message.

Faust spends 64 to 130 µs on a message, whatever is in it; one message a fetch brings that to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
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


@dataclass(eq=False, slots=True)
class Slice:
    """What a fetch brought of one partition, or a part of that; whoever takes it owes an acknowledgement."""

    tenure: Tenure
    """Whose slice it is, whether it has ended meanwhile or not."""
    begins: int
    """Where the slice before it ended; its first record may lie behind a hole in the log."""
    records: Records
    offset: int
    """Of the last record."""
    event: EventT[Any] | None = None
    """The delivery that brought it."""
    acked: bool = False

    @property
    def tp(self) -> TP:
        """The partition."""
        return self.tenure.tp


class ChunkMessage(ConsumerMessage):
    """A delivery: slices of different partitions of one topic, in ``value``.

    Faust takes it for a record of the first one's partition.
    """

    __slots__ = ("open",)

    open: int
    """How many of the slices are not acknowledged yet."""

    @property
    def slices(self) -> list[Slice]:
        """What it brings, until that is taken."""
        return cast(list[Slice], self.value)

    def bring(self, slices: list[Slice]) -> None:
        """Bring these, at least one."""
        self.value = cast(Any, slices)
        self.open = len(slices)
        first = slices[0]
        self.tp, self.partition, self.offset = first.tp, first.tp.partition, first.offset


class ChunkSchema(faust.Schema[Any, Any]):
    """Passes the slices of raw records through: the guard decodes, where a failure cannot be lost."""

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
            # no headers: every record keeps its own
            return create_event(None, message.value, cast(Any, None), message)

        return decode


Group = list[tuple[TP, Records]]
"""The slices of one delivery."""


class ChunkScheduler(DefaultSchedulingStrategy):
    """Yields single records of other topics first, then groups of slices, round robin between partitions."""

    def __init__(self, chunk_topics: Set[str], max_records: int) -> None:
        """Take the topics to slice (a live set), and the most records of a slice and of a group."""
        self._chunk_topics = chunk_topics
        self._max_records = max_records

    @override
    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        single: dict[TP, list[Any]] = {}
        ticks: dict[str, dict[TP, Records]] = {}
        for tp, batch in records.items():
            if tp.topic in self._chunk_topics:
                ticks.setdefault(tp.topic, {})[tp] = batch
            else:
                single[tp] = batch
        # jobs are few and must not wait behind ticks
        yield from super().iterate(single)
        for batches in ticks.values():
            yield from self._groups(batches)

    def _groups(self, batches: Mapping[TP, Records]) -> Iterator[tuple[TP, Group]]:
        group: Group = []
        count = 0
        for tp, piece in self._slices(batches):
            if group and count + len(piece) > self._max_records:
                yield group[0][0], group
                group, count = [], 0
            group.append((tp, piece))
            count += len(piece)
        yield group[0][0], group

    def _slices(self, batches: Mapping[TP, Records]) -> Iterator[tuple[TP, Records]]:
        size = self._max_records
        pending = deque((tp, batch, 0) for tp, batch in batches.items())
        while pending:
            tp, batch, start = pending.popleft()
            yield tp, (batch[start : start + size] if len(batch) > size else batch)
            if start + size < len(batch):
                pending.append((tp, batch, start + size))


def chunk_message(slices: list[Slice], generation_id: int) -> ChunkMessage:
    """Return slices as one message."""
    first = slices[0]
    last = first.records[-1]
    message = ChunkMessage(
        topic=first.tp.topic,
        partition=first.tp.partition,
        offset=last.offset,
        timestamp=last.timestamp / 1000.0,
        timestamp_type=last.timestamp_type,
        headers=None,
        key=None,
        value=None,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        tp=first.tp,
        generation_id=generation_id,
    )
    message.bring(slices)
    return message
