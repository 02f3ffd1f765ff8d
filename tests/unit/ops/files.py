"""Files of trades for tests, read through a real descriptor."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec

from ops.tick_columns import Columns
from ops.ticks_file import Chunk, Lines, TicksFile

NOW_MS = 1_762_800_000_000
TS = 1_762_795_433_000_000_000


def row(n: int = 0, **changes: Any) -> bytes:
    """Return a good trade as a line of NDJSON."""
    trade = {"symbol": "AAPL", "ts_event": TS + n, "price": 10.5, "size": 1.0, "provider": "a"}
    return msgspec.json.encode(trade | changes)


def ticks_file(path: Path, content: bytes, *, form: str = "ndjson", **options: Any) -> TicksFile:
    """Return a reader of a file with this content; its descriptor lives as long as the test."""
    path.write_bytes(content)
    columns = options.pop("columns", None) or Columns()
    return TicksFile(Lines(os.open(path, os.O_RDONLY), threading.Event()), columns, form=form, **options)


def chunks(file: TicksFile) -> Iterator[Chunk]:
    """Return its chunks as of `NOW_MS`."""
    return file.chunks(repeat(NOW_MS))
