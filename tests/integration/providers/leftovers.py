"""What a client must not leave behind: tasks, sockets, and its key in somebody's words."""

from __future__ import annotations

import asyncio
import time
import traceback
from pathlib import Path

import pytest

#: the other end of a closed socket is closed by the emulator's thread, a moment later
PATIENCE_S = 5.0


def sockets() -> frozenset[str]:
    """Return the sockets that the process has open, by their number in the system."""
    found = set()
    for number in Path("/proc/self/fd").iterdir():
        try:
            target = str(number.readlink())
        except FileNotFoundError:  # of this listing itself
            continue
        if target.startswith("socket:"):
            found.add(target)
    return frozenset(found)


class Leftovers:
    """Made before a client is; asked after it is closed."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._sockets = sockets()

    async def assert_none(self) -> None:
        """Fail if there are tasks or sockets that were not there before."""
        tasks = asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
        assert not tasks, f"left: {tasks}"
        deadline = time.monotonic() + PATIENCE_S
        while left := sockets() - self._sockets:
            assert time.monotonic() < deadline, f"left: {sorted(left)}"
            await asyncio.sleep(0.01)


def assert_secret(
    fragments: tuple[str, ...], error: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Fail if a key stands in an error, in what is attached to it or led to it, or in the log."""
    seen: list[str] = [caplog.text, *(repr(record.__dict__) for record in caplog.records)]
    todo = [error]
    while todo:
        one = todo.pop()
        if one is not None:
            seen += [str(one), repr(one), repr(one.args), repr(vars(one))]
            seen += traceback.format_exception(one)
            todo += [one.__cause__, one.__context__]
    for fragment in fragments:
        assert not [text for text in seen if fragment in text]
