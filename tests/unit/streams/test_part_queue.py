"""What a queue holds before it makes whoever fills it wait."""

from __future__ import annotations

import asyncio

import pytest

from streams.part_queue import PartQueue


def queue_of(limit: int) -> PartQueue[int]:
    return PartQueue(limit, lambda weight: weight)


async def test_items_come_out_in_order():
    queue = queue_of(100)
    for weight in (3, 1, 2):
        await queue.put(weight)
    assert [await queue.get(), queue.get_nowait(), await queue.get()] == [3, 1, 2]
    assert queue.empty()
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


async def test_a_full_queue_makes_wait_until_there_is_room():
    queue = queue_of(10)
    await queue.put(9)
    await queue.put(9)
    waiting = asyncio.ensure_future(queue.put(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await queue.get() == 9
    await asyncio.wait_for(waiting, 1)
    assert [await queue.get(), await queue.get()] == [9, 1]


async def test_of_two_that_wait_one_goes_on_when_there_is_room_for_one():
    queue = queue_of(10)
    await queue.put(10)
    first, second = asyncio.ensure_future(queue.put(10)), asyncio.ensure_future(queue.put(10))
    await asyncio.sleep(0)
    await queue.get()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [first.done(), second.done()] == [True, False]
    await queue.get()
    await asyncio.wait_for(second, 1)


async def test_what_weighs_nothing_always_has_room_in_a_queue_that_is_not_full():
    queue = queue_of(1)
    for _ in range(50):
        await queue.put(0)
    assert [await queue.get() for _ in range(50)] == [0] * 50


async def test_a_get_that_is_given_up_loses_nothing():
    queue = queue_of(10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)
    await queue.put(7)
    assert await queue.get() == 7
