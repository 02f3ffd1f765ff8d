"""Ends the process when it is alive and does nothing, or does not end when told: somebody starts it again.

In a thread of its own, because the event loop may be what hangs. Nothing is acknowledged that is not
stored, so ending is always safe.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from domain.liveness import stuck
from schemas.errors import Fatal, OutageOutlasted, Stuck

if TYPE_CHECKING:
    from streams.app import MarketApp

log = logging.getLogger(__name__)

PERIOD_S = 0.5
LAST_WORDS_S = 2.0


class Watchdog:
    """Looks twice a second."""

    def __init__(self, app: MarketApp) -> None:
        """Take the app to watch."""
        self._app = app
        self._stop = threading.Event()
        self._told_to_stop: float | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def verdict(self) -> Fatal | None:
        """Return why the process should end at once, or None."""
        app = self._app
        now, patience = app.clock.monotonic(), app.settings.stuck_after_s
        if app.should_stop:
            return self._overdue(now)
        pulse = app.services.pulse
        if now - pulse.heartbeat > patience:
            return Stuck(f"the event loop has not turned for {now - pulse.heartbeat:.0f} s")
        if (waited := now - pulse.dealt_at) > patience + 2 * app.settings.rebalance_timeout_s:
            return Stuck(f"the group has dealt no partitions for {waited:.0f} s")
        reason = stuck(pulse.progress(), now, patience, pulse.excused_at)
        return Stuck(reason) if reason else None

    def _overdue(self, now: float) -> Fatal | None:
        if self._told_to_stop is None:
            self._told_to_stop = now
        grace = self._app.settings.stop_grace_s
        if now - self._told_to_stop <= grace:
            return None
        return OutageOutlasted(
            f"what was in flight could not be stored within {grace:.0f} s of being told to stop"
        )

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD_S):
            error = self.verdict()
            if error is not None:
                _say(error)
                os._exit(error.exit_code)


def _say(error: Fatal) -> None:
    # in a thread that is not waited for: whoever hangs may hold the lock of the log
    speaker = threading.Thread(target=log.critical, args=("ending unacknowledged: %s", error), daemon=True)
    speaker.start()
    speaker.join(LAST_WORDS_S)
