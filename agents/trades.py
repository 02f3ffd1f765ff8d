"""``md.trades.v1`` -> ``md.candles.v1``, ``candles_intraday``; poison and expired -> ``md.dlq.v1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mode

from domain import snapshot
from domain.candles import Book
from domain.dlq_limit import PoisonMeter
from domain.snapshot import Snapshots
from schemas.candle import Bar
from schemas.decode import decode_chunk
from schemas.errors import Poison, Reason
from schemas.topics import TRADES
from sinks.offsets import Stored
from streams import guard
from streams.app import MarketApp, app
from streams.batcher import Part
from streams.chunks import Records
from streams.guard import Chunk, Diverted

#: a snapshot waits until the last one's size, at this rate per partition, has passed: it bounds the WAL
SNAPSHOT_BYTES_PER_S = 65_536
#: records between transport and fold: what is between fold and sink is QUEUE_CHUNKS
MAX_RECORDS = 80_000


@dataclass(slots=True)
class TradeState:
    """The fold's state of one partition."""

    book: Book
    snapshots: Snapshots
    meter: PoisonMeter
    snapshot_due: float = 0.0
    """Monotonic seconds."""


def restore(stored: Stored) -> tuple[TradeState, int]:
    """Return the state that a partition goes on with, and where."""
    settings = app.settings
    restored = snapshot.restore(stored.state, stored.resume_offset, settings.patience, stored.next_offset)
    return TradeState(restored.book, Snapshots(), PoisonMeter(settings.dlq_limit)), restored.offset


def fold(chunk: Chunk, market: MarketApp) -> Part[Bar] | None:
    """Fold a chunk into its partition's book; None if it only rebuilt state.

    Raises:
        PoisonFlood: more poison than the limit allows.
    """
    tenure, records, settings = chunk.tenure, chunk.records, market.settings
    state: TradeState = tenure.state
    state.meter.limit = settings.dlq_limit
    if records[0].offset < tenure.suppress:
        records = _refold(state, records, tenure.suppress, market)
    tenure.folded = chunk.records[-1].offset + 1
    if not records:
        return None
    decoded = decode_chunk(records)
    folded = state.book.fold(decoded.trades, records[0].offset, decoded.clocks)
    diverted = [Diverted(record, poison, "decode") for record, poison in decoded.rejects]
    guard.measure(state.meter, tenure.tp, records, diverted)
    diverted += [Diverted(decoded.records[i], _expired(settings.horizon_s), "fold") for i in folded.expired]
    market.counters.records_in += len(records)
    market.counters.clocks += len(decoded.clocks)
    market.counters.discontinuities += len(decoded.discontinuities)
    part = Part(
        tenure, tenure.folded, len(records), folded.bars, diverted, piece=chunk.piece, late=folded.late
    )
    now = market.clock.monotonic()
    if now >= state.snapshot_due:
        # here, not in the sink: the fold runs ahead of it, and the state must be that of this very offset
        part.resume_offset, part.state = tenure.folded, state.snapshots.dump(state.book, tenure.folded)
        state.snapshot_due = now + max(settings.snapshot_s, len(part.state) / SNAPSHOT_BYTES_PER_S)
    return part


def _refold(state: TradeState, records: Records, suppress: int, market: MarketApp) -> Records:
    """Fold what is stored already, in silence; return the rest."""
    old = [r for r in records if r.offset < suppress]
    decoded = decode_chunk(old)
    state.book.fold(decoded.trades, old[0].offset, decoded.clocks)
    market.counters.refolded += len(old)
    return records[len(old) :]


def _expired(horizon_s: int) -> Poison:
    return Poison(
        Reason.EXPIRED, f"ts_event: its bar closed more than {horizon_s} s before, or before a restart"
    )


@app.agent(
    app.chunk_topic(app.settings.topic(TRADES), restore=restore, max_records=MAX_RECORDS),
    supervisor_strategy=mode.CrashingSupervisor,
)
async def fold_trades(stream: Any) -> None:
    """Fold trades to candles."""
    async for chunks in guard.chunks(app, stream):
        parts = []
        for chunk in chunks:
            if (part := fold(chunk, app)) is not None:
                parts.append(part)
            else:
                guard.acknowledge(chunk.piece)
        await app.services.batcher.put(parts)
