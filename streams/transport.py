"""Chunked delivery with positions taken from the database: broker URLs ``chunked://host:port``.

With consumer_thread.py and raw_records.py the place that leans on internals of Faust and aiokafka: asserted
by tests/architecture/test_faust_internals.py. Faust keeps its agents, rebalances, sensors, command line and
web; replaced are:

``getmany``
    hands slices on at once where there is room, past the loop that waits for each.
``seek_to_committed``
    positions come from the database, once a generation: the database is the checkpoint.
``_wait_next_records``
    only slices that continue what was delivered get through. aiokafka may fetch from the group's offset
    before anyone has seeked, and drops records it has taken when the flow is suspended.
``_new_offset``, ``_add_gap``, ``_filter_tps_with_pending_acks``
    the ledger decides what may be committed, and of which partitions.
``on_buffer_full``, ``on_buffer_drop``
    all partitions of a topic wait for its agent, or none.
``on_partitions_revoked``
    commits before the base class forgets the acknowledgements.
``_new_consumer_thread``
    see consumer_thread.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.transport.drivers.aiokafka import ensure_aiokafka_TP
from faust.types import TP, ConsumerMessage, Message
from faust.types.transports import TPorTopicSet
from typing_extensions import override

from schemas.errors import OutageOutlasted, PositionLost
from streams.chunks import ChunkMessage, ChunkScheduler, Group, Records, Slice, chunk_message
from streams.consumer_thread import ChunkThread
from streams.ledger import OffsetLedger
from streams.tenure import Tenure

if TYPE_CHECKING:
    from streams.chunked_app import ChunkedApp

#: longest wait, in seconds, for a buffer to drain when every partition is back-pressured
BUFFER_DROP_TIMEOUT = 0.2
#: seconds for one question about ends of partitions, between two, and for all of them
BOUNDS_S = 5.0
BOUNDS_RETRY_S = 0.5
BOUNDS_BUDGET_S = 15.0


class ChunkConsumer(driver.Consumer):
    """Delivers slices, commits by the ledger, takes its positions from the database."""

    app: ChunkedApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Faust gives."""
        # set before the base class, which may already call overridden methods
        self._ledger = OffsetLedger()
        self._buffer_dropped = asyncio.Event()
        #: the current tenure of each partition of a chunk topic; replaced, never changed, by a positioning
        self.tenures: dict[TP, Tenure] = {}
        self._former: dict[TP, Tenure] = {}
        #: whose the slices under way are, and where the next one begins; the tenure may have ended meanwhile
        self._under_way: dict[TP, tuple[Tenure, int]] = {}
        self._positioned: int | None = None  # the generation whose positions were loaded
        self._moves = 0  # counts seeks, to know that one happened during an await
        self._probes: dict[TP, int] = {}
        self._position_lock = asyncio.Lock()
        super().__init__(*args, **kwargs)
        self.scheduler = ChunkScheduler(self.app.chunk_topics.keys(), self.app.settings.chunk_max_records)
        self._deliver_to_conductor = self.callback
        self.callback = self._on_delivery

    @override
    def _new_consumer_thread(self) -> Any:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    # delivery

    async def _on_delivery(self, message: Message) -> None:
        if not isinstance(message, ChunkMessage):
            await self._deliver(message, [message])
            return
        slices = [piece for piece in message.slices if self._continues(piece)]
        # neither the agent nor the ledger may see the others: a later fetch begins where delivery stands
        self.app.counters.stale_dropped += len(message.slices) - len(slices)
        if not slices:
            return
        message.bring(slices)
        await self._deliver(message, slices)
        # reached only if a suspended flow has not cancelled the await above
        now = self.app.clock.monotonic()
        for piece in slices:
            piece.tenure.delivered, piece.tenure.delivered_at = piece.offset + 1, now

    async def _deliver(self, message: Message, delivered: Sequence[Message | Slice]) -> None:
        acking = self.app.topics.acks_enabled_for(message.topic)
        if acking:
            for each in delivered:
                self._ledger.add(each)
        await self._deliver_to_conductor(message)
        if acking and not message.refcount and not message.acked:
            for each in (message, *delivered):
                each.acked = True  # nobody subscribes: it must not hold back the commit

    @override
    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        # The loop that calls this makes four tasks of each message, to wait for its delivery or for a
        # suspended flow. Where the agent has room there is nothing to wait for: the conductor's lock is
        # held only while it subscribes to other topics.
        async for tp, message in super().getmany(timeout):
            if isinstance(message, ChunkMessage) and self.flow_active and self.app.has_room(tp.topic):
                await self._on_delivery(message)
            else:
                yield tp, message

    def _continues(self, piece: Slice) -> bool:
        """Whether a slice is of the current tenure, and the one before it was delivered."""
        tenure = piece.tenure
        return self.tenures.get(tenure.tp) is tenure and tenure.delivered == piece.begins

    @override
    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if type(record) is not list:
            return super()._to_message(tp, record)
        group: Group = record
        message = chunk_message(
            [self._slice(each, records) for each, records in group], self.app.consumer_generation_id
        )
        # Faust drops what lies before its own note of what was read, which knows nothing of repositioning
        self._read_offset[tp] = None
        return message

    def _slice(self, tp: TP, records: Records) -> Slice:
        tenure, begins = self._under_way[tp]
        piece = Slice(tenure, begins, records, records[-1].offset)
        self._under_way[tp] = (tenure, piece.offset + 1)
        return piece

    # the queue before the agent is one for all partitions of its topic

    @override
    def on_buffer_full(self, tp: TP) -> None:
        for each in [*self._get_active_partitions()]:
            if each.topic == tp.topic:
                super().on_buffer_full(each)

    @override
    def on_buffer_drop(self, tp: TP) -> None:
        for each in [*self._buffered_partitions]:
            if each.topic == tp.topic:
                super().on_buffer_drop(each)
        self._buffer_dropped.set()

    @override
    async def _wait_next_records(self, timeout: float) -> Any:
        moves = self._moves
        records, active = await self._fetch_next(timeout)
        if records:
            records = await self._continuing(records, moved=moves != self._moves)
        return records, active

    async def _fetch_next(self, timeout: float) -> Any:
        # when every partition is back-pressured the base class sleeps a whole second
        if self.flow_active and not self._get_active_partitions() and self._buffered_partitions:
            self._buffer_dropped.clear()
            if not self._get_active_partitions():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._buffer_dropped.wait(), BUFFER_DROP_TIMEOUT)
            return {}, self._get_active_partitions()
        return await super()._wait_next_records(timeout)

    async def _continuing(self, records: dict[TP, list[Any]], *, moved: bool) -> dict[TP, list[Any]]:
        """Keep the slices that continue what was delivered; have the others fetched again.

        Three ways to get others: a fetch in flight while the position changed; records that were taken
        and dropped by the layers below; a hole in the log (compaction, transaction markers, retention).
        Only the last repeats after a seek.
        """
        kept: dict[TP, list[Any]] = {}
        again: dict[TP, int] = {}
        for tp, batch in records.items():
            if tp.topic not in self.app.chunk_topics:
                kept[tp] = batch
                continue
            tenure = self.tenures.get(tp)
            if tenure is None:
                continue  # fetched before the position was known: the seek is still to come
            first, expected = batch[0].offset, tenure.delivered
            self._under_way[tp] = (tenure, expected)
            if first == expected:
                kept[tp] = batch
            elif first > expected and not moved and self._probes.get(tp) == expected:
                await self._pass_hole(tp, expected, first)
                kept[tp] = batch
            else:
                self._probes[tp] = again[tp] = expected
                self.app.counters.slices_refetched += 1
        if again:
            self._moves += 1
            with contextlib.suppress(IllegalStateError):  # revoked meanwhile
                await self._call_thread("seek_all", again)
        return kept

    async def _pass_hole(self, tp: TP, expected: int, first: int) -> None:
        begin, _ = (await self.bounds([tp]))[tp]
        if begin > expected:
            error = PositionLost(
                f"{tp.topic}[{tp.partition}]: records {expected}..{begin - 1} were deleted by retention "
                "before they were read"
            )
            await self.crash(error)
            raise error
        self.app.counters.holes += 1
        self.log.warning("no records %s..%s in %r", expected, first - 1, tp)

    # offsets

    @override
    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """The ledger does not need to know about missing offsets."""

    @override
    def _filter_tps_with_pending_acks(self, topics: TPorTopicSet | None = None) -> Iterator[TP]:
        for tp in self._ledger.partitions():
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    @override
    def _new_offset(self, tp: TP) -> int | None:
        if tp in self._acked:
            self._acked[tp].clear()
        if tp in self._acked_index:
            self._acked_index[tp].clear()
        return self._ledger.next_offset(tp)

    def _reset_ledger(self, partitions: Iterable[TP]) -> None:
        for tp in partitions:
            self._ledger.forget(tp)
            self._acked.pop(tp, None)
            self._acked_index.pop(tp, None)

    # positions

    @override
    async def perform_seek(self) -> None:
        await super().perform_seek()
        for tp, tenure in self.tenures.items():
            # the base class noted where delivery resumes; Kafka's offset must not go back to there
            self._committed_offset[tp] = tenure.stored or None
        self._reset_ledger(self._ledger.partitions())

    @override
    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek chunk topics to their positions in the database, other topics as usual.

        Called by ``perform_seek``, from two places that may overlap: table recovery, once after each
        assignment and before the flow resumes; and the drain loop, when a fetch came back while the
        flow was suspended. So: one at a time, the database is read once a generation, and any further
        call only seeks to where delivery stands.
        """
        generation = self.app.consumer_generation_id
        async with self._position_lock:
            assigned = {tp for tp in self.assignment() if tp.topic in self.app.chunk_topics}
            if generation != self._positioned or assigned - self.tenures.keys():
                tenures = await self._load(assigned)
                if generation != self.app.consumer_generation_id:
                    raise IllegalStateError("rebalanced while positions were loaded")  # recovery starts over
                self.tenures, self._positioned = tenures, generation
            positions = {tp: self.tenures[tp].delivered for tp in assigned}
            self._moves += 1
            await self._call_thread("seek_all", positions)
            others = [ensure_aiokafka_TP(tp) for tp in self.assignment() if tp not in assigned]
            if others:
                consumer = self._thread._ensure_consumer()
                positions.update(await self._thread.call_thread(consumer.seek_to_committed, *others))
            return positions

    @property
    def positioned(self) -> bool:
        """Whether the group has dealt its partitions, and where to go on in ours is known."""
        generation = self.app.consumer_generation_id
        return generation > 0 and (self._positioned == generation or not self.assignment())

    async def reposition(self, tps: Iterable[TP]) -> None:
        """Start partitions over from the database: somebody else advanced them."""
        async with self._position_lock:
            mine = {tp for tp in tps if tp in self.tenures}
            loaded = await self._load(mine)
            fresh = {tp: t for tp, t in loaded.items() if tp in self.tenures}  # others were revoked meanwhile
            self.tenures.update(fresh)
            self._reset_ledger(mine)
            self._moves += 1
            with contextlib.suppress(IllegalStateError):
                await self._call_thread("seek_all", {tp: t.delivered for tp, t in fresh.items()})

    async def bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Ask the broker for beginning and end of each partition's log.

        Raises:
            KafkaError: it does not answer.
        """
        bounds: dict[TP, tuple[int, int]] = await self._call_thread("bounds", tps)
        return bounds

    async def committed_in_kafka(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """Ask the broker for the group's offset of each partition.

        Raises:
            KafkaError: it does not answer.
        """
        committed: dict[TP, int | None] = await self._call_thread("committed_in_kafka", tps)
        return committed

    async def _load(self, tps: set[TP]) -> dict[TP, Tenure]:
        if not tps:
            return {}
        bounds = await self._bounds_patiently(tps)
        former = {tp: t for tp in tps if (t := self._former.pop(tp, None) or self.tenures.get(tp))}
        loaded = await self.app.load_tenures(bounds, former)
        self.log.info("positions: %s", ", ".join(map(str, loaded.values())))
        return loaded

    async def _bounds_patiently(self, tps: set[TP]) -> dict[TP, tuple[int, int]]:
        """Ask again while the broker is away, but not until Faust's recovery ends in silence."""
        clock = self.app.clock
        deadline = clock.monotonic() + BOUNDS_BUDGET_S
        while True:
            try:
                async with asyncio.timeout(BOUNDS_S):
                    return await self.bounds(tps)
            except (KafkaError, TimeoutError) as exc:
                if clock.monotonic() > deadline:
                    error = OutageOutlasted(f"the broker did not say where partitions end: {exc!r}")
                    await self.app.crash(error)
                    raise error from exc
                await asyncio.sleep(BOUNDS_RETRY_S)

    def fetched_end(self, tp: TP) -> int | None:
        """Return the end of a partition as the last fetch said, None if there was none; at any moment."""
        try:
            return self.highwater(tp)
        except AssertionError:  # aiokafka's way to say that the partition is not assigned any more
            return None

    @override
    async def seek(self, partition: TP, offset: int) -> None:
        await super().seek(partition, offset)
        self._reset_ledger([partition])

    @override
    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.stop_flow()
        try:
            await self.commit()
        except KafkaError as exc:  # the rebalance must go on; the database knows the position
            self.log.warning("commit before revocation failed: %r", exc)
        await super().on_partitions_revoked(revoked)  # waits for every chunk in flight
        self._reset_ledger(revoked)
        self._buffered_partitions.difference_update(revoked)
        for tp in revoked:
            tenure = self.tenures.pop(tp, None)
            if tenure is not None:
                self._former[tp] = tenure
        self._positioned = None

    async def _call_thread(self, method: str, argument: Any) -> Any:
        return await self._thread.call_thread(getattr(self._thread, method), argument)


class Transport(driver.Transport):
    """Transport for ``chunked://`` broker URLs."""

    Consumer = ChunkConsumer


TRANSPORTS.aliases["chunked"] = f"{__name__}:Transport"
