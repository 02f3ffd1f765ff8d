"""What ends a demo: a signal, a second one, or its time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: the loop has to turn a few times to learn of a signal
NOTICE_S = 0.01
#: One Ctrl-C may be heard twice: a child that is just being started gets it too, and until it runs its
#: own program it tells our loop, through the pipe that it inherits.
ECHO_S = 0.1


class Ending:
    """The first signal asks for an orderly end, the second cancels the task that made this; that is all."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        """Take over the signals; must be called in a task.

        Args:
            on_first: called at the first signal, from the event loop.
        """
        self.asked = asyncio.Event()
        """Set by the first signal or when the time is up."""
        self.signal: signal.Signals | None = None
        """The first one."""
        self._on_first = on_first
        self._first_at = 0.0
        self._cancelled = False
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        for number in SIGNALS:
            self._loop.add_signal_handler(number, self._receive, number)

    def after(self, seconds: float) -> None:
        """End by itself after so many seconds."""
        self._loop.call_later(max(0.0, seconds), self.asked.set)

    @property
    def interrupted(self) -> bool:
        """Whether it ends by itself or by Ctrl-C, as it is meant to."""
        return self.signal in (None, signal.SIGINT)

    @property
    def signal_code(self) -> int:
        """What a process that a signal has ended returns."""
        return 128 + (self.signal or signal.SIGINT)

    async def heed(self) -> None:
        """End at once if there was a signal: for while there is nothing to store yet.

        Raises:
            CancelledError: there was.
        """
        await asyncio.sleep(NOTICE_S)
        if self.signal is not None:
            raise asyncio.CancelledError

    def _receive(self, number: signal.Signals) -> None:
        now = self._loop.time()
        if self.signal is None:
            self.signal, self._first_at = number, now
            self.asked.set()
            self._on_first()
        elif now > self._first_at + ECHO_S and not self._cancelled:
            # once: whoever is impatient must not interrupt the cleaning up
            self._cancelled = True
            assert self._task is not None, "made in a task"
            self._task.cancel()
