"""A server in a thread with a loop of its own, for tests that wait without a loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")
#: to start, and to end
PATIENCE_S = 20.0


@contextmanager
def in_thread(server: AbstractAsyncContextManager[T]) -> Iterator[tuple[T, asyncio.AbstractEventLoop]]:
    """Run a server for as long as the context; yield it and its loop."""
    ready: queue.Queue[T] = queue.Queue()
    loop, done = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with server as entered:
            ready.put(entered)
            await done.wait()

    # a daemon: one that hangs must not keep the process from ending too
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        yield ready.get(timeout=PATIENCE_S), loop
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), f"the server did not end within {PATIENCE_S:.0f} s"
        loop.close()
