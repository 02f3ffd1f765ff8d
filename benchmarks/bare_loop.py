"""The limit: a bare aiokafka loop that does the worker's whole job, without Faust.

Decode, fold, publish, one transaction, commit; no rebalances, no back-pressure, no positions from the
database, no dead-letter limit. Settings as for a worker.
"""

from __future__ import annotations

import gc
import time

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from domain.candles import Book
from domain.clock import SystemClock
from schemas.candle import Bar
from schemas.decode import decode_chunk
from schemas.topics import CANDLES, DEAD_LETTERS, TRADES
from sinks import candles
from sinks.database import Database
from sinks.offsets import Move, OffsetSink, Stored
from sinks.transaction import Writer
from streams.guard import Diverted, dead_letter
from streams.lanes import candle_message
from streams.output import Message, Output, Target
from streams.setting_fields import FETCH_MIN_BYTES
from streams.settings import read_settings
from streams.topics import describe

CHUNK = 5_000


async def main() -> None:
    """Run until killed."""
    settings, clock = read_settings(), SystemClock()
    cluster = await describe(settings.kafka_bootstrap_servers)
    database = Database(settings.database_url.get_secret_value(), "bare", clock, prepare=candles.prepare)
    output = Output(settings.kafka_bootstrap_servers, "bare", 30.0, clock)
    await output.on_start()
    offsets = OffsetSink("candles", cluster.id)
    writer = Writer(offsets, candles.ranked(()))
    topic, out, dlq = (settings.topic(spec) for spec in (TRADES, CANDLES, DEAD_LETTERS))
    tps = [TP(topic, p) for p in range(cluster.topics[topic])]
    await database.call(offsets.load, dict.fromkeys(tps, Stored(0, 0, None)))
    books = {tp: Book(settings.patience) for tp in tps}
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
    bars: list[Bar] = []
    queued, flushed, committed = 0, time.monotonic(), time.monotonic()
    while True:
        for key, records in (await consumer.getmany(timeout_ms=50)).items():
            tp = TP(key.topic, key.partition)
            for i in range(0, len(records), CHUNK):
                chunk = records[i : i + CHUNK]
                decoded = decode_chunk(chunk)
                folded = books[tp].fold(decoded.trades, chunk[0].offset, decoded.clocks)
                messages.setdefault((out, tp.partition), []).extend(map(candle_message, folded.bars))
                letters = [
                    dead_letter(tp, Diverted(r, p, "decode"), group="bare", now_ns=clock.now_ns())
                    for r, p in decoded.rejects
                ]
                messages.setdefault((dlq, tp.partition), []).extend(letters)
                bars += folded.bars
                moves[tp] = Move(stored[tp], chunk[-1].offset + 1)
            queued += len(records)
        now = time.monotonic()
        if queued and (queued >= settings.flush_records or now - flushed > settings.flush_ms / 1000):
            await output.deliver(messages)
            await database.call(writer.store, bars, moves)
            stored.update({tp: move.next_offset for tp, move in moves.items()})
            moves, messages, bars, queued, flushed = {}, {}, [], 0, now
        if now - committed > settings.commit_interval_s:
            await consumer.commit({TopicPartition(*tp): offset for tp, offset in stored.items()})
            committed = now


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvloop.run(main())
