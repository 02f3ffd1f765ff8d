"""``md.quotes.raw.v1`` -> ``md.quotes.v1``, ``md.quotes.latest.v1``, ``quotes_l1``; or ``md.dlq.v1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mode

from domain import quote_snapshot
from domain.dlq_limit import PoisonMeter
from domain.latest import Latest
from domain.quotes import QuoteBook
from schemas.decode_quotes import decode_chunk
from schemas.quote import L1Quote
from schemas.topics import QUOTES_RAW
from sinks.offsets import Stored
from streams import guard
from streams.app import MarketApp, app
from streams.batcher import Part
from streams.chunks import Records
from streams.guard import Chunk, Diverted
from streams.latest import Shop

#: as of trades: a snapshot waits until the last one's size, at this rate per partition, has passed
SNAPSHOT_BYTES_PER_S = 65_536
#: records between transport and fold
MAX_RECORDS = 80_000


@dataclass(slots=True)
class QuoteState:
    """The fold's state of one partition."""

    book: QuoteBook
    latest: Latest
    shop: Shop
    meter: PoisonMeter
    snapshot_due: float = 0.0
    """Monotonic seconds."""


def restore(stored: Stored) -> tuple[QuoteState, int]:
    """Return the state that a partition goes on with, and where."""
    settings = app.settings
    restored = quote_snapshot.restore(
        stored.state, stored.resume_offset, stored.next_offset, settings.policy_quotes_l1
    )
    shop, meter = Shop(app.clock.monotonic()), PoisonMeter(settings.dlq_limit)
    return QuoteState(restored.book, restored.latest, shop, meter), restored.offset


def fold(chunk: Chunk, market: MarketApp) -> Part[L1Quote] | None:
    """Fold a chunk into its partition's book; None if it only rebuilt state.

    Raises:
        PoisonFlood: more poison than the limit allows.
    """
    tenure, records, settings = chunk.tenure, chunk.records, market.settings
    state: QuoteState = tenure.state
    state.meter.limit = settings.dlq_limit
    state.latest.prefer(settings.policy_quotes_l1)
    if records[0].offset < tenure.suppress:
        records = _refold(state, records, tenure.suppress, market)
    tenure.folded = chunk.records[-1].offset + 1
    if not records:
        return None
    decoded = decode_chunk(records)
    diverted = [Diverted(record, poison, "decode") for record, poison in decoded.rejects]
    guard.measure(state.meter, tenure.tp, records, diverted)
    folded = state.book.fold(decoded, records)
    market.counters.records_in += len(records)
    market.counters.clocks += len(decoded.clocks)
    market.counters.discontinuities += len(decoded.discontinuities)
    part = Part(
        tenure,
        tenure.folded,
        len(records),
        folded.quotes,
        diverted,
        piece=chunk.piece,
        markers=folded.markers,
        latest=state.latest.offer(folded.quotes, folded.times_ms),
        duplicates=folded.duplicates,
    )
    now = market.clock.monotonic()
    if now >= state.snapshot_due:
        # here, not in the sink: the fold runs ahead of it, and the state must be that of this very offset
        part.resume_offset = state.book.resume_offset(tenure.folded)
        part.state = quote_snapshot.dump(state.book, state.latest, tenure.folded)
        state.snapshot_due = now + max(settings.snapshot_s, len(part.state) / SNAPSHOT_BYTES_PER_S)
    return part


def _refold(state: QuoteState, records: Records, suppress: int, market: MarketApp) -> Records:
    """Show the book what is stored already, in silence; return the rest."""
    book = state.book
    old = [r for r in records if r.offset < suppress]
    warming = [r for r in old if r.offset < book.stands_at]
    if warming:
        book.warm(decode_chunk(warming), warming)
    if rest := old[len(warming) :]:
        folded = book.fold(decode_chunk(rest), rest)
        state.latest.recall(folded.quotes, folded.times_ms)
    market.counters.refolded += len(old)
    return records[len(old) :]


@app.agent(
    app.chunk_topic(app.settings.topic(QUOTES_RAW), restore=restore, max_records=MAX_RECORDS),
    supervisor_strategy=mode.CrashingSupervisor,
)
async def fold_quotes(stream: Any) -> None:
    """Bring quotes into one meaning, and number them."""
    async for chunks in guard.chunks(app, stream):
        parts = []
        for chunk in chunks:
            if (part := fold(chunk, app)) is not None:
                parts.append(part)
            else:
                guard.acknowledge(chunk.piece)
        await app.services.quote_batcher.put(parts)
