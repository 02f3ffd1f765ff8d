"""What counts before the agent of a chunk topic: records, not slices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from streams.chunk_queue import LEAST_WEIGHT, ChunkQueue, weight
from tests.unit.streams.consumers import TICKS, piece, tenure


def event(*records: int) -> Any:
    """Return an event with slices of so many records."""
    return SimpleNamespace(value=[piece(tenure(TP(TICKS, p), 0), 0, n) for p, n in enumerate(records)])


class Pressed:
    """A queue, and for which partition it is under pressure."""

    def __init__(self, max_records: int) -> None:
        self.queue = ChunkQueue(max_records, FlowControlEvent())
        self.under_pressure = False

    def put(self, *records: int) -> None:
        # the same method each time, as the conductor gives it: the queue knows partitions by it
        self.queue.put_nowait_enhanced(
            event(*records), on_pressure_high=self._high, on_pressure_drop=self._drop
        )

    def _high(self) -> None:
        self.under_pressure = True

    def _drop(self) -> None:
        self.under_pressure = False


async def test_many_small_slices_are_no_pressure():
    # as two hundred fetches at the live edge would leave them while a transaction is under way
    pressed = Pressed(80_000)
    for _ in range(200):
        pressed.put(*[30] * 8)
    assert not pressed.under_pressure
    assert not pressed.queue.full()
    assert pressed.queue.qsize() == 48_000


async def test_pressure_begins_at_four_fifths_and_ends_at_two():
    pressed = Pressed(1_000)
    for _ in range(9):
        assert not pressed.under_pressure
        pressed.put(100)
    assert pressed.under_pressure
    assert not pressed.queue.full()
    pressed.put(100)
    assert pressed.queue.full()
    for _ in range(6):
        assert pressed.under_pressure
        pressed.queue.get_nowait()
    assert pressed.queue.qsize() == 400
    pressed.queue.get_nowait()
    assert not pressed.under_pressure


async def test_a_slice_weighs_something_however_small_it_is():
    assert [weight(n) for n in (1, LEAST_WEIGHT, 31)] == [LEAST_WEIGHT, LEAST_WEIGHT, 31]
    pressed = Pressed(100)
    for _ in range(5):
        assert not pressed.queue.full()
        pressed.put(1, 1)
    assert pressed.queue.full()


@pytest.mark.parametrize("how", ["clear", "resume"])
async def test_an_emptied_queue_weighs_nothing(how):
    control = FlowControlEvent()
    queue = ChunkQueue(100, control)
    queue.put_nowait(event(70))
    if how == "clear":
        queue.clear()
    else:
        control.suspend()
        control.resume()
    assert queue.empty()
    assert queue.qsize() == 0
