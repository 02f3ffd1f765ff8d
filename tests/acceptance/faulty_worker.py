"""A worker with one planted fault, so that the product needs no hooks for it.

FAULT=<point>:<nth>[:<seconds>] — the nth batch with candles, or what FAULTY names, that reaches the point
ends the process with SIGKILL, or is held there for so many seconds while the event loop goes on.

Points: after_produce, before_commit, after_commit; of quotes also before_latest.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ops.cli import main
from sinks.quotes import QuoteWriter
from sinks.transaction import Writer
from streams.output import Output

POINT, NTH, SECONDS = (*os.environ["FAULT"].split(":"), "0")[:3]
#: candles or quotes
KIND = os.environ.get("FAULTY", "candles")


class Fault:
    """Counts how often each point was reached."""

    def __init__(self) -> None:
        self.seen = 0

    def reached(self, point: str) -> float:
        """Return seconds to hold; or do not return."""
        if point != POINT:
            return 0.0
        self.seen += 1
        if self.seen != int(NTH):
            return 0.0
        if not float(SECONDS):
            os.kill(os.getpid(), signal.SIGKILL)
        return float(SECONDS)


fault = Fault()


class FaultyConnection:
    """A connection whose commit is a point."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        fault.reached("before_commit")
        self._connection.commit()
        fault.reached("after_commit")


def plant() -> None:
    """Put the points into the hot path."""
    writer: Any = {"candles": Writer, "quotes": QuoteWriter}[KIND]
    deliver, store = Output.deliver, writer.store

    async def faulty_deliver(self: Output, messages: Mapping[Any, Any]) -> None:
        if any(topic.endswith("md.quotes.latest.v1") for topic, _ in messages):
            fault.reached("before_latest")
        await deliver(self, messages)
        if any(topic.endswith(f"md.{KIND}.v1") for topic, _ in messages):
            await asyncio.sleep(fault.reached("after_produce"))

    def faulty_store(self: Any, connection: Any, rows: Sequence[Any], moves: Mapping[Any, Any]) -> None:
        store(self, FaultyConnection(connection) if rows else connection, rows, moves)

    Output.deliver = faulty_deliver  # type: ignore[method-assign]
    writer.store = faulty_store


if __name__ == "__main__":
    plant()
    sys.argv = ["tapeflow", "worker"]
    main()
