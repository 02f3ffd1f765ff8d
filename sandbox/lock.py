"""A lock between processes, held on a file and let go by the kernel when its holder ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.readiness import Say, silent


@contextmanager
def locked(path: Path, say: Say = silent, waiting: str = "") -> Iterator[None]:
    """Hold the lock; wait for it if another process does, and tell ``waiting`` then.

    The file stays: deleting it would let two processes lock two files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
