"""The same message over and over: a few lines, then only how many more there were."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

from typing_extensions import override

Key = tuple[str, str]
MAX_KEYS = 1_000
#: a marker on records that say how many were left out
SUPPRESSED = "suppressed"


@dataclass(slots=True)
class _Window:
    opened: float
    level: int
    passed: int = 0
    suppressed: int = 0


class Repeats:
    """Lets the first few records of a logger and template through, in windows of some seconds."""

    def __init__(self, allowed: int = 5, window_s: float = 10.0) -> None:
        """Let ``allowed`` pass in ``window_s`` seconds."""
        self._allowed = allowed
        self._window_s = window_s
        self._windows: OrderedDict[Key, _Window] = OrderedDict()

    def admit(self, key: Key, level: int, now: float) -> bool:
        """Say whether this record may pass."""
        window = self._windows.setdefault(key, _Window(now, level))
        window.level = max(window.level, level)
        if window.passed < self._allowed:
            window.passed += 1
            return True
        window.suppressed += 1
        return False

    def ended(self, now: float) -> Iterator[tuple[Key, int, int]]:
        """Close windows that are over; yield (key, level, how many were left out) where there were any."""
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now - window.opened < self._window_s and len(self._windows) <= MAX_KEYS:
                return
            del self._windows[key]  # equally long windows: the oldest ends first
            if window.suppressed:
                yield key, window.level, window.suppressed


class RepeatHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream; leaves repeats out.

    How many were left out is written with the next line of any logger after the window, or at the end.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        repeats: Repeats | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the stream (stderr if None), the rule and the clock (seconds, monotonic)."""
        super().__init__(stream)
        self._repeats = repeats or Repeats()
        self._clock = clock

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless it is a repeat."""
        now = self._clock()
        self._write_ended(now)
        if self._repeats.admit(_key(record), record.levelno, now):
            super().emit(record)

    @override
    def close(self) -> None:
        """Write what is still owed."""
        self._write_ended(float("inf"))
        super().close()

    def _write_ended(self, now: float) -> None:
        for (logger, template), level, count in self._repeats.ended(now):
            summary = logging.LogRecord(logger, level, "", 0, template, None, None)
            setattr(summary, SUPPRESSED, count)
            super().emit(summary)


def _key(record: logging.LogRecord) -> Key:
    """Return logger and template; of a structlog record the template is its event."""
    message: object = record.msg
    return record.name, str(message.get("event", "") if isinstance(message, dict) else message)
