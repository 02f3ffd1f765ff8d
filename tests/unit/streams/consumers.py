"""A real ChunkConsumer on a thread that does what a test says, and records to feed it with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP
from typing_extensions import override

from streams import chunks
from streams.chunked_app import ChunkedApp
from streams.setting_sources import Reading, detached
from streams.settings import InForce
from streams.tenure import Tenure
from streams.transport import ChunkConsumer

TICKS = "ticks"


@dataclass
class Record:
    """What the transport asks of a record."""

    offset: int
    value: bytes | None = b"{}"
    key: bytes | None = b"AAPL"
    timestamp: int = 1_700_000_000_000
    timestamp_type: int = 1
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class DrivenThread:
    """Stands where the consumer's thread is: notes the seeks, answers with the bounds it was given."""

    limits: dict[TP, tuple[int, int]] = field(default_factory=dict)
    seeks: list[dict[TP, int]] = field(default_factory=list)

    async def call_thread(self, fun: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await fun(*args)

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        self.seeks.append(dict(positions))

    async def bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        return {tp: self.limits[tp] for tp in tps}


class TickApp(ChunkedApp):
    """One chunk topic; where to go on is what the test put into ``next_tenures``."""

    def __init__(self) -> None:
        super().__init__(
            "unit",
            in_force=InForce(Reading(detached({"chunk_max_records": 4}), {})),
            broker="chunked://127.0.0.1:1",
            topic_disable_leader=True,
        )
        self.chunk_topic(TICKS, restore=lambda stored: (None, stored.next_offset), max_records=1_000)
        self.next_tenures: dict[TP, Tenure] = {}

    @override
    async def positions(
        self, bounds: Mapping[TP, tuple[int, int]], former: Mapping[TP, Tenure]
    ) -> dict[TP, Tenure]:
        return {tp: self.next_tenures[tp] for tp in bounds}


def driven_consumer(app: TickApp) -> tuple[ChunkConsumer, DrivenThread]:
    """Return the app's consumer and the thread to drive it with; only inside an event loop."""
    consumer = app.chunk_consumer
    consumer._thread.thread_loop.close()  # of the thread that is never started
    thread = DrivenThread()
    consumer._thread = thread  # type: ignore[assignment]
    return consumer, thread


def tenure(tp: TP, at: int, *, resume: int | None = None) -> Tenure:
    """Return a tenure that begins at a position, folding again from ``resume``."""
    resume = at if resume is None else resume
    return Tenure(tp, at, delivered=resume, folded=resume, suppress=at, state=None, moved_at=0.0)


def slice_of(first: int, end: int) -> chunks.Records:
    """Return the records ``first`` to ``end`` - 1."""
    return [Record(offset) for offset in range(first, end)]


def piece(owner: Tenure, first: int, end: int) -> chunks.Slice:
    """Return a slice with these records, as the transport makes it."""
    return chunks.Slice(owner, first, slice_of(first, end), end - 1)
