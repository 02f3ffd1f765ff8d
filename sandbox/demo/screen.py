"""Where the demo is told: a terminal with a live display, or plain lines for anything else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from domain.clock import Clock
from sandbox.demo.view import FRAME_LINES, Scene, lines, screen

MOST_ROWS = 12
#: how often the numbers are worth reading, in seconds: for a display, for lines
DISPLAY_S, LINES_S = 0.5, 3.0


class Screen:
    """Use it as a context manager; the display comes with the first scene and stays when it ends."""

    def __init__(self, clock: Clock) -> None:
        """Look where stdout goes; the seconds count from here."""
        self._clock = clock
        self._began = clock.monotonic()
        terminal = sys.stdout.isatty()
        # where a program may read it, lines are never wrapped and have no control characters
        self._console = Console(force_terminal=terminal, highlight=False, soft_wrap=not terminal)
        self._live: Live | None = None
        if terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock.monotonic() - self._began

    @property
    def pace_s(self) -> float:
        """How often a scene is wanted."""
        return DISPLAY_S if self._live else LINES_S

    @property
    def rows(self) -> int:
        """How many candles a scene has room for."""
        return max(1, min(MOST_ROWS, self._console.height - FRAME_LINES)) if self._live else 1

    def say(self, text: str, style: str = "") -> None:
        """Tell something, above the display if there is one."""
        self._console.print(text, style=style, markup=False, highlight=False)

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Tell how long something took, when it is done."""
        began = self.seconds
        yield
        self.say(f"{self.seconds - began:6.1f} s  {what}")

    def show(self, scene: Scene) -> None:
        """Show a moment."""
        if self._live is None:
            for line in lines(scene):
                self.say(line)
            return
        if not self._live.is_started:
            self._live.start()
        self._live.update(screen(scene, self._console.width), refresh=True)

    def freeze(self) -> None:
        """Leave the display as it is; what is told from now on comes below."""
        if self._live is not None and self._live.is_started:
            self._live.stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self.freeze()
