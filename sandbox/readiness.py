"""Waiting for a condition, and what servers say when they do not answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from domain.clock import Clock, SystemClock

#: called with one line of text for each thing worth telling
Say = Callable[[str], None]

POLL_S = 0.02
CONNECT_S = 1.0
CONNECT_DATABASE_S = 3
TAIL_LINES = 8


def silent(_: str) -> None:
    """Tell nothing."""


def wait_until(condition: Callable[[], bool], seconds: float, clock: Clock | None = None) -> bool:
    """Poll until the condition holds; return whether it did within so many seconds."""
    clock = clock or SystemClock()
    deadline = clock.monotonic() + seconds
    while not condition():
        if clock.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def accepts(address: str) -> bool:
    """Whether somebody accepts connections at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def database_answers(url: str) -> bool:
    """Whether a database takes a connection."""
    try:
        psycopg.connect(url, connect_timeout=CONNECT_DATABASE_S).close()
    except psycopg.Error:
        return False
    return True


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the end of a log."""
    try:
        return tail_of(log.read_text(errors="replace"), lines)
    except FileNotFoundError:
        return "(no log)"


def tail_of(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.splitlines()[-lines:])
