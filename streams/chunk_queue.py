"""The queue before the agent of a chunk topic: Faust's own, with a bound in records instead of messages.

A partition for which the queue is under pressure is not read until that has gone down. What aiokafka has
fetched of it already keeps back all partitions of the same broker, for 0.1 s. At the live edge a dozen slices
are a few hundred records: counted by slices, each such moment cost every symbol these 0.1 s (ADR 0017).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import faust
from faust.types import EventT
from mode.utils.queues import FlowControlEvent, ThrowableQueue
from typing_extensions import override

from streams.chunks import Slice

#: what a slice weighs at least, in records
LEAST_WEIGHT = 10


def weight(records: int) -> int:
    """Return what a slice of so many records weighs, here and in the queues behind."""
    return max(records, LEAST_WEIGHT)


class ChunkQueue(ThrowableQueue[Any]):
    """Takes events whose value is a list of slices; `qsize` and ``maxsize`` are records."""

    def __init__(self, max_records: int, flow_control: FlowControlEvent) -> None:
        """Take the bound; pressure begins at four fifths of it and ends at two fifths."""
        self._weight = 0
        super().__init__(max_records, flow_control=flow_control, clear_on_resume=True)

    @override
    def qsize(self) -> int:
        return self._weight

    @override
    def clear(self) -> None:
        super().clear()
        self._weight = 0

    @override
    def _put(self, item: EventT[Any]) -> None:
        self._weight += _weigh(item)
        super()._put(item)

    @override
    def _get(self) -> EventT[Any]:
        event: EventT[Any] = super()._get()
        self._weight -= _weigh(event)
        return event


def _weigh(event: EventT[Any]) -> int:
    slices = cast(list[Slice], event.value)
    return sum([weight(len(piece.records)) for piece in slices])


class ChunkTopic(faust.Topic):
    """A topic with one agent, whose stream reads a clone of it: all clones share the queue."""

    @override
    def _clone_args(self) -> Mapping[str, Any]:
        # Faust makes a queue of its own for each clone, with its own bound
        return {**super()._clone_args(), "queue": self.queue}

    @property
    def has_room(self) -> bool:
        """Whether the agent can be handed more slices without waiting for it."""
        return not cast(ChunkQueue, self.queue).full()
