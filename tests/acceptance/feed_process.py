"""Processes of ``tapeflow feed`` in a rig: started, watched by what they log, ended."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.acceptance.rig import GRACE_S, Rig, wait_until

#: for a process to start and get somewhere
START_S = 40.0


def start(rig: Rig, name: str, *arguments: str, **settings: Any) -> None:
    """Start ``tapeflow feed`` with arguments and settings."""
    rig.start(name, command=["ops.cli", "feed", *arguments], log_level="INFO", **settings)


def log_of(rig: Rig, name: str) -> Path:
    """Return the log of a process."""
    return next(path for path in rig.logs if path.name.rpartition("-")[0] == name)


def turns(rig: Rig, name: str, state: str) -> int:
    """Count how often a process has gone over to a state."""
    return log_of(rig, name).read_text().count(f'"event":"{state}, was ')


def wait_turn(rig: Rig, name: str, state: str, times: int = 1, timeout: float = START_S) -> None:
    """Wait until a process has gone over to a state so many times."""

    def turned() -> bool:
        code = rig.workers[name].poll()
        assert code is None, f"{name} ended with {code} before it was {state}:\n{rig.log_tail()}"
        return turns(rig, name, state) >= times

    wait_until(turned, timeout, f"{name} is {state}, {times} times\n{rig.log_tail()}")


def end(rig: Rig) -> None:
    """Tell all to stop at once, and see them end well."""
    names = list(rig.workers)
    for name in names:
        rig.tell(name, signal.SIGTERM)
    for name in names:
        code = rig.wait_ended(name, GRACE_S)
        assert code == 0, f"{name} ended with {code}:\n{rig.log_tail()}"
