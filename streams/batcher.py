"""From folded chunks to the database: coalesce, publish, store, acknowledge, in this order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from faust.types import TP, EventT
from mode import Service

from schemas.candle import Bar, encode_bar
from schemas.errors import DatabaseRefused
from schemas.topics import CANDLES, DEAD_LETTERS
from sinks.offsets import Move, PositionsMovedError
from sinks.transaction import Refused, Writer
from streams.guard import Diverted, acknowledge, dead_letter, refused_letter
from streams.output import Message, Target
from streams.tenure import Tenure

if TYPE_CHECKING:
    from streams.app import MarketApp

CANDLE_HEADERS = [("content-type", b"application/json"), ("schema", b"candle.v1")]


@dataclass(slots=True)
class Part:
    """What one chunk leaves to be published and stored."""

    tenure: Tenure
    next_offset: int
    count: int = 0
    """Records folded for the first time."""
    bars: Sequence[Bar] = ()
    diverted: Sequence[Diverted] = ()
    resume_offset: int | None = None
    state: bytes | None = None
    event: EventT[Any] | None = None
    """To acknowledge; None for what the wall clock publishes."""
    late: int = 0
    published: bool = field(default=False)

    @property
    def tp(self) -> TP:
        """The partition."""
        return self.tenure.tp


class Batcher(Service):
    """Coalesces parts across partitions; the bound of its queue is the back-pressure."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app for its services and tenures."""
        super().__init__(**kw)
        self._app = app
        self._queue: asyncio.Queue[Part] = asyncio.Queue(app.settings.queue_chunks)
        self.last_commit: float | None = None
        """Monotonic seconds of the last commit with records."""

    async def put(self, part: Part) -> None:
        """Hand over a part; waits while the queue is full."""
        await self._queue.put(part)

    @Service.task
    async def _flusher(self) -> None:
        while True:
            await self._store(await self._collect())

    async def _collect(self) -> list[Part]:
        app, clock, settings = self._app, self._app.clock, self._app.settings
        parts = [await self._queue.get()]
        count = parts[0].count
        deadline = clock.monotonic() + settings.flush_ms / 1000
        while count < settings.flush_records:
            try:
                part = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                left = deadline - clock.monotonic()
                if left <= 0 or app.rebalancing or app.should_stop:
                    break
                try:
                    part = await asyncio.wait_for(self._queue.get(), left)
                except TimeoutError:
                    break
            parts.append(part)
            count += part.count
        return parts

    async def _store(self, parts: list[Part]) -> None:
        """Publish and store what is still ours; come back until it is stored or somebody else's.

        Raises:
            Fatal: see `Output.deliver` and `Database.patiently`.
        """
        services = self._app.services
        unwanted: set[str] = set()
        while live := self._current(parts):
            await self._publish(live)
            moves = _moves(live)
            bars = [bar for part in live for bar in part.bars if bar.id not in unwanted]
            try:
                await services.database.patiently(
                    self._app.settings.database_budget_s, services.writer.store, bars, moves
                )
            except PositionsMovedError as moved:
                await self._yield_to(moved, moves)
            except psycopg.Error as exc:  # of class 22 or 23: the database refuses a bar
                refused = await self._divert_refused(live, services.writer, bars)
                if not refused:
                    raise DatabaseRefused(
                        f"the database refused a batch, but none of its bars: {exc}"
                    ) from exc
                unwanted |= refused
            else:
                self._stored(live, bars)
                return

    def _current(self, parts: Iterable[Part]) -> list[Part]:
        """Drop the parts of ended tenures."""
        live = []
        for part in parts:
            if self._app.tenures.get(part.tp) is part.tenure:
                live.append(part)
            elif part.event is not None and not part.event.message.acked:
                self._app.counters.stale_dropped += 1
                acknowledge(part.event)
        return live

    async def _publish(self, parts: Iterable[Part]) -> None:
        app = self._app
        candles, dead_letters = app.settings.topic(CANDLES), app.settings.topic(DEAD_LETTERS)
        messages: defaultdict[Target, list[Message]] = defaultdict(list)
        for part in parts:
            if part.published:
                continue
            part.published = True
            for bar in part.bars:
                messages[candles, part.tp.partition].append(candle_message(bar))
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

    async def _divert_refused(self, parts: Iterable[Part], writer: Writer, bars: Sequence[Bar]) -> set[str]:
        app = self._app
        refused = await app.services.database.patiently(app.settings.database_budget_s, writer.refused, bars)
        by_id: dict[str, Refused] = {r.bar.id: r for r in refused}
        topic = app.settings.topic(DEAD_LETTERS)
        messages: defaultdict[Target, list[Message]] = defaultdict(list)
        for part in parts:
            for bar in part.bars:
                if (found := by_id.get(bar.id)) is not None:
                    letter = refused_letter(
                        part.tp,
                        found,
                        offset=part.next_offset - 1,
                        group=app.settings.kafka_group,
                        now_ns=app.clock.now_ns(),
                    )
                    messages[topic, part.tp.partition].append(letter)
                    app.counters.dead_letters[found.reason] += 1
        await app.services.output.deliver(messages)
        return set(by_id)

    def _stored(self, parts: Iterable[Part], bars: Iterable[Bar]) -> None:
        counters, now = self._app.counters, self._app.clock.monotonic()
        counters.transactions += 1
        for part in parts:
            counters.stored += part.count - len(part.diverted)
            counters.dead_lettered += len(part.diverted)
            counters.late += part.late
            for diverted in part.diverted:
                counters.dead_letters[diverted.poison.reason] += 1
            if part.event is not None:
                part.tenure.stored = max(part.tenure.stored, part.next_offset)
                part.tenure.moved_at = self.last_commit = now
                acknowledge(part.event)
        for bar in bars:
            if not bar.is_final:
                counters.candles_provisional += 1
            elif bar.revision:
                counters.candles_revised += 1
            else:
                counters.candles_final += 1


def _moves(parts: Iterable[Part]) -> dict[TP, Move]:
    moves: dict[TP, Move] = {}
    for part in parts:
        tenure = part.tenure
        move = moves.setdefault(part.tp, Move(tenure.stored, tenure.stored))
        if part.event is not None:  # what the wall clock publishes may overtake the part of a folded chunk
            move.next_offset = max(move.next_offset, part.next_offset)
        if part.state is not None:
            move.resume_offset, move.state = part.resume_offset, part.state
    return moves


def candle_message(bar: Bar) -> Message:
    """Return a candle as a record of its topic."""
    return bar.symbol.encode(), encode_bar(bar), [*CANDLE_HEADERS, ("id", bar.id.encode())]
