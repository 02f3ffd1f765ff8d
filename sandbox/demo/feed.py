"""The demo's market: what the simulated exchange trades, on its way to the broker, a little of it spoilt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

import msgspec

from domain.clock import Clock
from sandbox.demo.tally import MINUTE_NS, Tally
from sandbox.exchange import FEED, PROVIDER, SECOND_NS, Exchange
from schemas.chunk import FUTURE_NS
from schemas.topics import TRADES
from schemas.trade import ClockTick, Trade

#: one trade in so many is made bad
POISON_EVERY = 1_000
STEP_S = 0.05
#: after a pause (the process was suspended) the market goes on where it stood, instead of catching up at once
LONGEST_STEP_S = 1.0
#: for the clocks of two processes on one machine
SLACK_NS = 2 * SECOND_NS

encode = msgspec.json.Encoder().encode


class Sender(Protocol):
    """Who brings trades to the broker (`ops.tick_sender.TickSender`)."""

    @property
    def acknowledged(self) -> int:
        """Trades that the broker has."""

    @property
    def clocks(self) -> int:
        """Clock records handed over, one per partition each time."""

    async def send(self, trades: Iterable[Trade], values: Iterable[bytes]) -> None:
        """Add trades, in order, with their encoded values."""

    async def send_clock(self, tick: ClockTick) -> None:
        """Add a clock record behind everything, in every partition."""

    async def flush(self) -> None:
        """Send what is held back."""

    async def finish(self) -> None:
        """Wait until the broker has everything."""


class Feed:
    """Plays an exchange in real time; keeps a tally of the good trades and a count of the bad ones."""

    def __init__(self, exchange: Exchange, sender: Sender, clock: Clock) -> None:
        """Take an exchange at its start, and a sender that is connected."""
        self.tally = Tally()
        self.spoilt = 0
        """Bad records sent so far."""
        self.market_ns = exchange.clock.at(0)
        """What time it is on the exchange, nanoseconds since the epoch, UTC."""
        self._exchange = exchange
        self._sender = sender
        self._clock = clock

    @property
    def sent(self) -> int:
        """Trades sent so far, the bad ones among them; clock records are not."""
        return self.tally.trades + self.spoilt

    @property
    def records(self) -> int:
        """Records sent so far, clock records among them."""
        return self.sent + self._sender.clocks * TRADES.partitions

    @property
    def behind_s(self) -> float:
        """How far the exchange's time is behind the wall clock, in seconds."""
        return max(0.0, (self._clock.now_ns() - self.market_ns) / SECOND_NS)

    async def run(self, stop: asyncio.Event, lateness_ns: int) -> None:
        """Play until `stop` is set, then ring the closing bell and wait until the broker has everything.

        Args:
            stop: ends it.
            lateness_ns: how long after its end a bar closes: the bell comes after that, and closes the
                last bars.

        Raises:
            DependencyAway: the broker went away.
            CommandError: the broker refused a record.
        """
        elapsed, last = 0.0, self._clock.monotonic()
        while not stop.is_set():
            await self._play(elapsed)
            await self._wait(stop, STEP_S)
            now = self._clock.monotonic()
            elapsed, last = elapsed + min(now - last, LONGEST_STEP_S), now
        await self._ring(lateness_ns)

    async def _play(self, elapsed: float) -> None:
        trades: list[Trade] = []
        for arrived in self._exchange.until(elapsed):
            if isinstance(arrived, Trade):
                trades.append(arrived)
                continue
            await self._send(trades)
            trades = []
            await self._sender.send_clock(arrived)
        await self._send(trades)
        await self._sender.flush()
        self.market_ns = self._exchange.clock.at(elapsed)

    async def _send(self, trades: list[Trade]) -> None:
        await self._sender.send(trades, [self._value(trade) for trade in trades])

    def _value(self, trade: Trade) -> bytes:
        value = encode(trade)
        if (self.sent + 1) % POISON_EVERY:
            self.tally.add(trade)
            return value
        self.spoilt += 1
        return spoil(value, self.spoilt)

    async def _ring(self, lateness_ns: int) -> None:
        """Move the market's time beyond the end of its last minute."""
        closed_ns = self.market_ns - self.market_ns % MINUTE_NS + MINUTE_NS + lateness_ns
        # an event too far ahead of its arrival is refused: in the first seconds of a minute wait a little
        early_ns = closed_ns - self._clock.now_ns() - FUTURE_NS + SLACK_NS
        await asyncio.sleep(max(0, early_ns) / SECOND_NS)
        await self._sender.send_clock(
            ClockTick(type="clock", ts_event=closed_ns, provider=PROVIDER, feed=FEED)
        )
        await self._sender.finish()

    @staticmethod
    async def _wait(stop: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return


def spoil(value: bytes, number: int) -> bytes:
    """Return a trade made bad, in one of four ways in turn: each is refused for a reason of its own."""
    match number % 4:
        case 1:
            return value[: len(value) // 2]
        case 2:
            return value.replace(b'"price":', b'"price":-', 1)
        case 3:
            return value[:-1] + b',"colour":"red"}'
        case _:
            return value.replace(b'"symbol":', b'"ticker":', 1)
