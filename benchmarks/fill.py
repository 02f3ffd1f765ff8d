"""Topics with trades in them: the same for every contender."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from domain.clock import SystemClock
from ops.tick_sender import TickSender
from sandbox.exchange import Exchange, MarketClock
from schemas.topics import TRADES
from schemas.trade import ClockTick, Trade
from streams import topics

PARTITIONS = 8
SYMBOLS = 500
#: market minutes that a bulk run spans
MINUTES = 20
BATCH = 2_000
POISON = b'{"symbol":"SIM001","ts_event":1,"price":-1,"size":"one","provider":"sim"}'

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Filled:
    """A topic and what is in it."""

    prefix: str
    records: int
    """Trades, poison and clock records."""


async def bulk(bootstrap: str, trades: int, *, poison_every: int = 0, seed: int = 7) -> Filled:
    """Fill a new set of topics.

    Args:
        bootstrap: of the broker.
        trades: about so many.
        poison_every: every so many trades one more record that is none; 0: never.
        seed: of the exchange.
    """
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    await topics.apply(bootstrap, prefix=prefix, partitions=PARTITIONS)
    seconds = 20
    clock = SystemClock()
    market = MarketClock.behind(clock.now_ns(), seconds=7_200, speed=60.0 * MINUTES / seconds)
    exchange = Exchange(market, seed=seed, symbols=SYMBOLS, rate=trades / seconds)
    sent = 0
    async with TickSender(bootstrap, prefix + TRADES.name, clock) as sender:
        for batch in _batches(exchange, seconds):
            if isinstance(batch, ClockTick):
                await sender.send_clock(batch)
                sent += PARTITIONS
                continue
            values = [_encode(trade) for trade in batch]
            if poison_every:
                bad = range(0, len(batch), poison_every)
                batch += [batch[i] for i in bad]
                values += [POISON for _ in bad]
            await sender.send(batch, values)
            sent += len(batch)
        await sender.finish()
    return Filled(prefix, sent)


def _batches(exchange: Exchange, seconds: int) -> Iterator[list[Trade] | ClockTick]:
    batch: list[Trade] = []
    for item in exchange.until(seconds):
        if isinstance(item, ClockTick):
            yield batch
            yield item
            batch = []
        else:
            batch.append(item)
            if len(batch) >= BATCH:
                yield batch
                batch = []
    yield batch


async def live(bootstrap: str, prefix: str, rate: float, seconds: float, stop: asyncio.Event) -> int:
    """Produce at a steady rate, in time with the wall clock; return how many trades were sent."""
    clock = SystemClock()
    exchange = Exchange(MarketClock(clock.now_ns(), clock.now_ns(), 1.0), symbols=SYMBOLS, rate=rate)
    sent, started = 0, clock.monotonic()
    async with TickSender(bootstrap, prefix + TRADES.name, clock) as sender:
        while (elapsed := clock.monotonic() - started) < seconds and not stop.is_set():
            batch: list[Trade] = []
            for item in exchange.until(elapsed):
                if isinstance(item, ClockTick):
                    await sender.send_clock(item)
                else:
                    batch.append(item)
            await sender.send(batch, [_encode(trade) for trade in batch])
            await sender.flush()
            sent += len(batch)
            await asyncio.sleep(0.005)
        await sender.finish()
    return sent
