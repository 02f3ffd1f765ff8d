"""From folded chunks to the database: coalesce, publish, store, acknowledge, in this order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic

import psycopg
from faust.types import TP
from mode import Service

from domain.quotes import PlacedMarker
from schemas.errors import DatabaseRefused
from schemas.quote import L1Quote
from schemas.topics import DEAD_LETTERS
from sinks.offsets import Move, PositionsMovedError
from sinks.transaction import R, Refused
from streams.chunk_queue import weight
from streams.chunks import Slice
from streams.guard import Diverted, acknowledge, dead_letter, refused_letter
from streams.lanes import Lane
from streams.output import Message, Target
from streams.part_queue import PartQueue
from streams.tenure import Tenure

if TYPE_CHECKING:
    from streams.app import MarketApp

#: bound of the queues of an eager lane, whose parts have a row for each record: what is folded while a
#: transaction is under way must fit, or it is not published before that has ended
EAGER_RECORDS = 40_000


@dataclass(slots=True)
class Part(Generic[R]):
    """What one chunk leaves to be published and stored."""

    tenure: Tenure
    next_offset: int
    count: int = 0
    """Records folded for the first time."""
    rows: Sequence[R] = ()
    diverted: Sequence[Diverted] = ()
    resume_offset: int | None = None
    state: bytes | None = None
    piece: Slice | None = None
    """To acknowledge; None for what the wall clock publishes."""
    late: int = 0
    markers: Sequence[PlacedMarker] = ()
    """Of quotes: what goes between the rows on the topic."""
    latest: Sequence[L1Quote] = ()
    """Of quotes: which of them to show as the last ones once they are stored."""
    duplicates: int = 0
    packed: bytes = b""
    """Of quotes: the rows as the database takes them (`Lane.prepare`)."""
    published: bool = field(default=False)

    @property
    def tp(self) -> TP:
        """The partition."""
        return self.tenure.tp


class Batcher(Service, Generic[R]):
    """Coalesces parts across partitions; the bound of its queue is the back-pressure."""

    def __init__(self, app: MarketApp, lane: Lane[R], **kw: Any) -> None:
        """Take the app for its services and tenures, and whose parts they are."""
        super().__init__(**kw)
        self._app = app
        self._lane = lane
        #: what is to be stored; of an eager lane what is to be published before that has a queue of its own
        self._queue: PartQueue[list[Part[R]]]
        if lane.eager:
            self._queue = PartQueue(EAGER_RECORDS, _weigh)
            self._folded: PartQueue[list[Part[R]]] = PartQueue(EAGER_RECORDS, _weigh)
        else:
            settings = app.settings
            self._folded = self._queue = PartQueue(settings.queue_chunks * settings.chunk_max_records, _weigh)
        self.last_commit: float | None = None
        """Monotonic seconds of the last commit with records."""

    async def put(self, parts: list[Part[R]]) -> None:
        """Hand over the parts of a delivery; waits while the queue is full."""
        if parts:
            await self._folded.put(parts)

    @Service.task
    async def _publisher(self) -> None:
        """Publish parts of an eager lane without waiting for those ahead of them to be stored."""
        if not self._lane.eager:
            return
        while True:
            deliveries = [await self._folded.get()]
            while not self._folded.empty():
                deliveries.append(self._folded.get_nowait())
            live = [self._current(parts) for parts in deliveries]
            publication = asyncio.ensure_future(self._publish([*chain.from_iterable(live)]))
            await asyncio.sleep(0)
            # the broker has it now, and takes longer than this
            for part in chain.from_iterable(live):
                self._lane.prepare(part)
            await publication
            for parts in filter(None, live):
                await self._queue.put(parts)

    @Service.task
    async def _flusher(self) -> None:
        while True:
            await self._store(await self._collect())

    async def _collect(self) -> list[Part[R]]:
        app, clock, settings = self._app, self._app.clock, self._app.settings
        parts = [*await self._queue.get()]
        count = sum([part.count for part in parts])
        deadline = clock.monotonic() + settings.flush_ms / 1000
        while count < settings.flush_records:
            try:
                more = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                left = deadline - clock.monotonic()
                if left <= 0 or app.rebalancing or app.should_stop:
                    break
                try:
                    more = await asyncio.wait_for(self._queue.get(), left)
                except TimeoutError:
                    break
            parts += more
            count += sum([part.count for part in more])
        return parts

    async def _store(self, parts: list[Part[R]]) -> None:
        """Publish and store what is still ours; come back until it is stored or somebody else's.

        Raises:
            Fatal: see `Output.deliver` and `Database.patiently`.
        """
        lane = self._lane
        unwanted: set[str] = set()
        while live := self._current(parts):
            await self._publish(live)
            moves = _moves(live)
            rows = lane.rows(live)
            if unwanted:
                rows = [row for row in rows if row.id not in unwanted]
            try:
                await lane.database.patiently(
                    self._app.settings.database_budget_s, lane.writer.store, rows, moves
                )
            except PositionsMovedError as moved:
                await self._yield_to(moved, moves)
            except psycopg.Error as exc:  # of class 22 or 23: the database refuses a row
                refused = await self._divert_refused(live, rows)
                if not refused:
                    raise DatabaseRefused(
                        f"the database refused a batch, but none of its rows: {exc}"
                    ) from exc
                unwanted |= refused
            else:
                self._stored(live)
                await lane.committed(live, rows)
                return

    def _current(self, parts: Iterable[Part[R]]) -> list[Part[R]]:
        """Drop the parts of ended tenures."""
        live = []
        for part in parts:
            if self._app.tenures.get(part.tp) is part.tenure:
                live.append(part)
            elif part.piece is not None and not part.piece.acked:
                self._app.counters.stale_dropped += 1
                acknowledge(part.piece)
        return live

    async def _publish(self, parts: Iterable[Part[R]]) -> None:
        app = self._app
        target, dead_letters = app.settings.topic(self._lane.target), app.settings.topic(DEAD_LETTERS)
        messages: defaultdict[Target, list[Message]] = defaultdict(list)
        for part in parts:
            if part.published:
                continue
            part.published = True
            if part.rows or part.markers:
                messages[target, part.tp.partition] += self._lane.messages(part)
            for diverted in part.diverted:
                letter = dead_letter(
                    part.tp, diverted, group=app.settings.kafka_group, now_ns=app.clock.now_ns()
                )
                messages[dead_letters, part.tp.partition].append(letter)
        if messages:
            await app.services.output.deliver(messages)

    async def _yield_to(self, moved: PositionsMovedError, moves: dict[TP, Move]) -> None:
        """Sort out a lost swap: ours already, or another owner's."""
        lost = set()
        for tp, move in moves.items():
            at = moved.found[tp].next_offset
            if at == move.next_offset != move.expected:
                # the connection broke during COMMIT, and it was done
                if (tenure := self._app.tenures.get(tp)) is not None:
                    tenure.stored = at
            elif at != move.expected:
                lost.add(tp)
        self._app.counters.swaps_lost += len(lost)
        if lost:
            await self._app.chunk_consumer.reposition(lost)

    async def _divert_refused(self, parts: Iterable[Part[R]], rows: Sequence[R]) -> set[str]:
        app, lane = self._app, self._lane
        refused = await lane.database.patiently(app.settings.database_budget_s, lane.writer.refused, rows)
        by_id: dict[str, Refused[R]] = {r.row.id: r for r in refused}
        topic = app.settings.topic(DEAD_LETTERS)
        messages: defaultdict[Target, list[Message]] = defaultdict(list)
        for part in parts:
            for row in part.rows:
                if (found := by_id.get(row.id)) is not None:
                    letter = refused_letter(
                        part.tp,
                        found,
                        lane.message(row),
                        offset=part.next_offset - 1,
                        group=app.settings.kafka_group,
                        now_ns=app.clock.now_ns(),
                    )
                    messages[topic, part.tp.partition].append(letter)
                    app.counters.dead_letters[found.reason] += 1
        await app.services.output.deliver(messages)
        return set(by_id)

    def _stored(self, parts: Iterable[Part[R]]) -> None:
        counters, now = self._app.counters, self._app.clock.monotonic()
        counters.transactions += 1
        for part in parts:
            counters.stored += part.count - len(part.diverted)
            counters.dead_lettered += len(part.diverted)
            counters.late += part.late
            for diverted in part.diverted:
                counters.dead_letters[diverted.poison.reason] += 1
            if part.piece is not None:
                part.tenure.stored = max(part.tenure.stored, part.next_offset)
                part.tenure.moved_at = self.last_commit = now
                acknowledge(part.piece)


def _weigh(parts: list[Part[Any]]) -> int:
    return sum([weight(part.count) for part in parts])


def _moves(parts: Iterable[Part[Any]]) -> dict[TP, Move]:
    moves: dict[TP, Move] = {}
    for part in parts:
        tenure = part.tenure
        move = moves.setdefault(part.tp, Move(tenure.stored, tenure.stored))
        if part.piece is not None:  # what the wall clock publishes may overtake the part of a folded chunk
            move.next_offset = max(move.next_offset, part.next_offset)
        if part.state is not None:
            move.resume_offset, move.state = part.resume_offset, part.state
    return moves
