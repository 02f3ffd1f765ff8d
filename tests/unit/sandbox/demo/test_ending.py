"""Signals and the demo: the first asks, the second ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from sandbox.demo.ending import ECHO_S, SIGNALS, Ending


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "orderly"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)]
)
async def test_the_first_signal_asks(number: signal.Signals, orderly: bool) -> None:
    told: list[str] = []
    ending = Ending(lambda: told.append("stopping"))
    os.kill(os.getpid(), number)
    await asyncio.wait_for(ending.asked.wait(), 5)
    assert told == ["stopping"]
    assert ending.interrupted is orderly
    assert ending.signal_code == 128 + number
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_the_second_signal_cancels_and_a_third_does_not_disturb_the_cleaning_up() -> None:
    reached: list[str] = []

    async def demo() -> None:
        ending = Ending(lambda: reached.append("asked"))
        os.kill(os.getpid(), signal.SIGINT)
        await ending.asked.wait()
        await asyncio.sleep(2 * ECHO_S)
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(5)
            reached.append("not cancelled")
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(2 * ECHO_S)
            reached.append("cleaned up")

    task = asyncio.create_task(demo())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == ["asked", "cleaned up"]


async def test_the_echo_of_the_first_signal_is_not_a_second_one() -> None:
    ending = Ending(lambda: None)
    os.kill(os.getpid(), signal.SIGINT)
    await ending.asked.wait()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(ECHO_S / 2)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_time_ends_it_without_a_signal() -> None:
    ending = Ending(lambda: pytest.fail("no signal came"))
    ending.after(0.01)
    await asyncio.wait_for(ending.asked.wait(), 5)
    assert ending.signal is None
    assert ending.interrupted
    await ending.heed()


async def test_a_time_that_is_over_ends_it_at_once() -> None:
    ending = Ending(lambda: None)
    ending.after(-3)
    await asyncio.wait_for(ending.asked.wait(), 5)


async def test_before_there_is_anything_to_store_a_signal_ends_it_at_once() -> None:
    ending = Ending(lambda: None)
    await ending.heed()
    # no turn of the loop between the signal and the question, as after a server was started
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(asyncio.CancelledError):
        await ending.heed()
