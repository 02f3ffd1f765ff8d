"""The limit for quotes: a bare aiokafka loop that does the worker's whole job, without Faust.

Decode, fold, publish, one transaction, the latest view, commit; no rebalances, no back-pressure, no positions
from the database, no snapshots, no dead-letter limit. Settings as for a worker.
"""

from __future__ import annotations

import gc
import time

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from domain.clock import SystemClock
from domain.latest import Latest
from domain.quotes import QuoteBook
from schemas.decode_quotes import decode_chunk
from schemas.quote import L1Quote
from schemas.topics import DEAD_LETTERS, QUOTES, QUOTES_LATEST, QUOTES_RAW
from sinks import quotes
from sinks.database import Database
from sinks.offsets import Move, OffsetSink, Stored
from sinks.quotes import QuoteWriter
from streams.guard import Diverted, dead_letter
from streams.lanes import quote_messages
from streams.output import Message, Output, Target
from streams.setting_fields import FETCH_MIN_BYTES
from streams.settings import read_settings
from streams.topics import describe

CHUNK = 5_000


async def main() -> None:
    """Run until killed."""
    settings, clock = read_settings(), SystemClock()
    cluster = await describe(settings.kafka_bootstrap_servers)
    database = Database(settings.database_url.get_secret_value(), "bare", clock, prepare=quotes.prepare)
    output = Output(settings.kafka_bootstrap_servers, "bare", 30.0, clock)
    await output.on_start()
    offsets = OffsetSink("quotes", cluster.id)
    writer = QuoteWriter(offsets, quotes.sources(settings.provider_rank))
    topic, out, last, dlq = (
        settings.topic(spec) for spec in (QUOTES_RAW, QUOTES, QUOTES_LATEST, DEAD_LETTERS)
    )
    tps = [TP(topic, p) for p in range(cluster.topics[topic])]
    await database.call(offsets.load, dict.fromkeys(tps, Stored(0, 0, None)))
    books = {tp: QuoteBook() for tp in tps}
    views = {tp: Latest(settings.policy_quotes_l1) for tp in tps}
    stored = dict.fromkeys(tps, 0)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=settings.kafka_group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=1 << 19,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        fetch_min_bytes=FETCH_MIN_BYTES,
    )
    await consumer.start()
    moves: dict[TP, Move] = {}
    messages: dict[Target, list[Message]] = {}
    latest: dict[Target, list[Message]] = {}
    rows: list[L1Quote] = []
    queued, flushed, committed = 0, time.monotonic(), time.monotonic()
    while True:
        for key, records in (await consumer.getmany(timeout_ms=50)).items():
            tp = TP(key.topic, key.partition)
            for i in range(0, len(records), CHUNK):
                chunk = records[i : i + CHUNK]
                decoded = decode_chunk(chunk)
                folded = books[tp].fold(decoded, chunk)
                messages.setdefault((out, tp.partition), []).extend(quote_messages(folded.quotes))
                shown = views[tp].offer(folded.quotes, folded.times_ms)
                latest.setdefault((last, tp.partition), []).extend(quote_messages(shown))
                letters = [
                    dead_letter(tp, Diverted(r, p, "decode"), group="bare", now_ns=clock.now_ns())
                    for r, p in decoded.rejects
                ]
                messages.setdefault((dlq, tp.partition), []).extend(letters)
                rows += folded.quotes
                moves[tp] = Move(stored[tp], chunk[-1].offset + 1)
            queued += len(records)
        now = time.monotonic()
        if queued and (queued >= settings.flush_records or now - flushed > settings.flush_ms / 1000):
            await output.deliver(messages)
            await database.call(writer.store, rows, moves)
            await output.deliver(latest)
            stored.update({tp: move.next_offset for tp, move in moves.items()})
            moves, messages, latest, rows, queued, flushed = {}, {}, {}, [], 0, now
        if now - committed > settings.commit_interval_s:
            await consumer.commit({TopicPartition(*tp): offset for tp, offset in stored.items()})
            committed = now


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvloop.run(main())
