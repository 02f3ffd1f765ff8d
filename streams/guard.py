"""The only place that takes chunks, acknowledges them and turns poison into dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from faust.types import TP, ConsumerMessage, EventT

from domain.dlq_limit import PoisonMeter
from schemas.dead_letter import DeadLetter, dead_letter_id, message_of
from schemas.errors import Poison, PoisonFlood
from schemas.topics import DEAD_LETTERS
from sinks.transaction import R, Refused
from streams.chunked_app import ChunkedApp
from streams.chunks import ChunkMessage, Record, Records, Slice
from streams.output import Message
from streams.tenure import Tenure

if TYPE_CHECKING:
    from streams.app import MarketApp

VERSION = version("tapeflow")


@dataclass(frozen=True, slots=True)
class Diverted:
    """A record on its way to the dead-letter topic."""

    record: Record
    poison: Poison
    stage: str


def measure(meter: PoisonMeter, tp: TP, records: Records, diverted: Sequence[Diverted]) -> None:
    """Show a meter what of a chunk is poison.

    Raises:
        PoisonFlood: it is more than the limit allows.
    """
    if not diverted:
        meter.exceeded(len(records), ())
        return
    first = records[0].offset
    verdict = meter.exceeded(len(records), sorted(d.record.offset - first for d in diverted))
    if verdict is not None:
        raise PoisonFlood(f"{tp.topic}[{tp.partition}]: {verdict}; the last: {diverted[-1].poison}")


@dataclass(slots=True)
class Chunk:
    """What a slice holds, in a tenure that is still the current one."""

    tenure: Tenure
    records: Records
    piece: Slice
    """To acknowledge; without its records."""


async def chunks(app: ChunkedApp, stream: Any) -> AsyncIterator[list[Chunk]]:
    """Yield the chunks of each delivery of a stream; those of ended tenures are dropped.

    Whoever takes a chunk owes its slice an `acknowledge`, once what it caused is stored.
    """
    # Faust's own iteration acknowledges when the body raises or is cancelled: records would be lost
    async for event in stream.noack().events():
        message = cast(ChunkMessage, event.message)
        taken, tenures, now = [], app.tenures, app.clock.monotonic()
        for piece in message.slices:
            piece.event, tenure = event, piece.tenure
            if tenures.get(tenure.tp) is tenure:
                # Faust notes this of the first partition only, and would say that the others stand still
                app.monitor.stream_inbound_time[tenure.tp] = now
                # slices wait for their acknowledgement behind the whole queue of the sink: without records
                taken.append(Chunk(tenure, piece.records, piece))
                piece.records = []
            else:
                app.counters.stale_dropped += 1
                acknowledge(piece)
        app.counters.chunks += len(taken)
        if taken:
            yield taken


def acknowledge(piece: Slice) -> None:
    """Let Kafka's offset pass this slice, in its turn; an event has passed when all of its slices have.

    For a slice of an ended tenure this commits nothing: its ledger is gone.
    """
    event = piece.event
    assert event is not None, "it was taken"
    piece.acked = True
    message = cast(ChunkMessage, event.message)
    message.open -= 1
    if not message.open:
        event.ack()


@dataclass(slots=True)
class SingleRecord:
    """A record of a topic whose events are single records."""

    offset: int
    timestamp: int
    """Milliseconds since the epoch, by the broker's clock."""
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class Single:
    """One record. Whoever takes it owes it an `ack`, once what it caused is stored."""

    tp: TP
    record: SingleRecord
    event: EventT[Any]

    def ack(self) -> None:
        """Let Kafka's offset pass this record, in its turn."""
        self.event.ack()


async def events(app: ChunkedApp, stream: Any) -> AsyncIterator[Single]:
    """Yield the records of a stream of single records; those that were read before a rebalance are dropped.

    They come again, to whoever holds the partition now.
    """
    async for event in stream.noack().events():
        message = cast(ConsumerMessage, event.message)
        if message.generation_id != app.consumer_generation_id:
            app.counters.stale_dropped += 1
            event.ack()  # commits nothing: its ledger is gone
            continue
        headers = message.headers
        record = SingleRecord(
            message.offset,
            round(message.timestamp * 1_000),  # Faust has made seconds of them
            message.timestamp_type,
            message.key,
            message.value,
            tuple(headers.items() if isinstance(headers, Mapping) else headers or ()),
        )
        yield Single(message.tp, record, event)


def dead_letter(tp: TP, diverted: Diverted, *, group: str, now_ns: int) -> Message:
    """Return the dead letter of a record: its key, bytes and headers untouched, ours added."""
    record, poison = diverted.record, diverted.poison
    letter = DeadLetter(
        id=dead_letter_id(tp.topic, tp.partition, record.offset, group),
        reason=poison.reason,
        stage=diverted.stage,
        error_message=message_of(poison),
        orig_topic=tp.topic,
        orig_partition=tp.partition,
        orig_offset=record.offset,
        orig_timestamp=record.timestamp,
        orig_group=group,
        first_failed_at=now_ns,
        app_version=VERSION,
    )
    return record.key, record.value, [*record.headers, *letter.headers()]


def refused_letter(
    tp: TP, refused: Refused[R], message: Message, *, offset: int, group: str, now_ns: int
) -> Message:
    """Return the dead letter of a row that the database refused: key and value are those of its message.

    ``orig.*`` name the last record of the chunk that made it.
    """
    row = refused.row
    letter = DeadLetter(
        # of the row alone: which chunk made it depends on how the broker sliced the partition
        id=dead_letter_id(row.id, tp.partition, 0, group),
        reason=refused.reason,
        stage="sink",
        error_message=message_of(Poison(refused.reason, f"{row.id}: {refused.detail}")),
        orig_topic=tp.topic,
        orig_partition=tp.partition,
        orig_offset=offset,
        orig_timestamp=row.ts_event // 1_000_000,
        orig_group=group,
        first_failed_at=now_ns,
        app_version=VERSION,
    )
    key, value, _ = message
    return key, value, letter.headers()


async def divert(app: MarketApp, tp: TP, diverted: Diverted) -> None:
    """Deliver the dead letter of a single record, and count it.

    Raises:
        Fatal: see `Output.deliver`.
    """
    settings = app.settings
    letter = dead_letter(tp, diverted, group=settings.kafka_group, now_ns=app.clock.now_ns())
    # dead letters have as many partitions as ticks; other topics may have more than those
    target = settings.topic(DEAD_LETTERS), tp.partition % settings.partitions(DEAD_LETTERS)
    await app.services.output.deliver({target: [letter]})
    app.counters.dead_letters[diverted.poison.reason] += 1
