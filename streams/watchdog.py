"""Ends the process when it is alive and does nothing: whoever started it starts it again.

In a thread of its own, because the event loop may be what hangs. Nothing is acknowledged that is not
stored, so ending is always safe.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from domain.liveness import stuck
from schemas.errors import Stuck

if TYPE_CHECKING:
    from streams.app import MarketApp

log = logging.getLogger(__name__)

PERIOD_S = 2.0


class Watchdog:
    """Looks every two seconds."""

    def __init__(self, app: MarketApp) -> None:
        """Take the app to watch."""
        self._app = app
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def verdict(self) -> str | None:
        """Return why the process should end, or None."""
        app = self._app
        now, patience = app.clock.monotonic(), app.settings.stuck_after_s
        pulse = app.services.pulse
        if now - pulse.heartbeat > patience:
            return f"the event loop has not turned for {now - pulse.heartbeat:.0f} s"
        return stuck(pulse.progress(), now, patience, pulse.excused_at)

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD_S):
            reason = self.verdict()
            if reason is not None:
                log.critical("stuck: %s", reason)
                logging.shutdown()
                os._exit(Stuck.exit_code)
