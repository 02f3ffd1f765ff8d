"""A stock Faust agent that does the worker's job, one event at a time, as its documentation shows it."""

from __future__ import annotations

import gc
import time
from collections import defaultdict

import faust
from faust.types import TP

from domain.candles import Book
from domain.clock import SystemClock
from schemas.candle import Bar
from schemas.decode import decode_chunk
from schemas.topics import CANDLES, TRADES
from sinks import candles
from sinks.database import Database
from sinks.offsets import Move, OffsetSink, Stored
from sinks.transaction import Writer
from streams.lanes import candle_message
from streams.output import Output
from streams.settings import read_settings
from streams.topics import describe

settings = read_settings()
FLUSH = 1_000
app = faust.App(
    settings.kafka_group,
    broker=f"kafka://{settings.kafka_bootstrap_servers}",
    value_serializer="raw",
    key_serializer="raw",
    topic_allow_declare=False,
    topic_disable_leader=True,
    table_standby_replicas=0,
    cython_optimizations=True,
    broker_commit_interval=settings.commit_interval_s,
    broker_session_timeout=10.0,
    broker_request_timeout=60.0,
    web_enabled=False,
)
trades = app.topic(settings.topic(TRADES), value_type=bytes, value_serializer="raw")


class Record:
    """One event, as the decoder wants it."""

    __slots__ = ("timestamp", "value")

    def __init__(self, value: bytes, timestamp: int) -> None:
        self.value, self.timestamp = value, timestamp


@app.agent(trades)
async def fold(stream: faust.StreamT[bytes]) -> None:
    """Fold each trade; store every thousand."""
    clock = SystemClock()
    cluster = await describe(settings.kafka_bootstrap_servers)
    database = Database(settings.database_url.get_secret_value(), "stock", clock, prepare=candles.prepare)
    output = Output(settings.kafka_bootstrap_servers, "stock", 30.0, clock)
    await output.on_start()
    offsets = OffsetSink("candles", cluster.id)
    writer = Writer(offsets, candles.ranked(()))
    topic = settings.topic(TRADES)
    tps = [TP(topic, p) for p in range(cluster.topics[topic])]
    await database.call(offsets.load, dict.fromkeys(tps, Stored(0, 0, None)))
    books: defaultdict[TP, Book] = defaultdict(lambda: Book(settings.patience))
    stored = dict.fromkeys(tps, 0)
    moves: dict[TP, Move] = {}
    bars: list[Bar] = []
    queued, flushed = 0, time.monotonic()
    async for event in stream.events():
        message = event.message
        decoded = decode_chunk([Record(event.value, int(message.timestamp * 1000))])
        folded = books[message.tp].fold(decoded.trades, message.offset)
        bars += folded.bars
        moves[message.tp] = Move(stored[message.tp], message.offset + 1)
        queued += 1
        if queued >= FLUSH or time.monotonic() - flushed > 1.0:
            if bars:
                await output.deliver({(settings.topic(CANDLES), 0): list(map(candle_message, bars))})
            await database.call(writer.store, bars, moves)
            stored.update({tp: move.next_offset for tp, move in moves.items()})
            moves, bars, queued, flushed = {}, [], 0, time.monotonic()


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    app.Worker(loglevel="WARNING", redirect_stdouts=False, quiet=True).execute_from_commandline()
