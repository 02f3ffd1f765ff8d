"""A live feed: one active process of several, from a vendor's WebSocket to the tick topics.

Three tasks while it leads: one reads the socket into a bounded buffer, one delivers the buffer, one proves
once in half a second that it still leads. Whatever may be missing is told in the feed itself, on every
partition, before what comes after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.backoff import Backoff
from domain.clock import Clock as Time
from domain.mute import MuteDetector
from domain.promise import Promise
from providers.base import BarRow
from providers.connection import Answered, Connection, Event, Pace, Subscribed, connected
from providers.dialogue import Dialogue, Heartbeat, PriceUpdate, Refused, Tick, Unreadable
from schemas.discontinuity import Discontinuity
from schemas.errors import (
    AuthFailed,
    BadRequest,
    ConfigInvalid,
    DatabaseAway,
    EntitlementMissing,
    ProviderAway,
    ProviderError,
    RateLimited,
    Transient,
)
from schemas.trade import ClockTick
from sinks.leadership import Leadership
from streams.feed_buffer import FeedBuffer
from streams.feed_records import Clock, FeedRecords, Hole, Ticks
from streams.feed_tail import LastWord
from streams.output import Output

log = logging.getLogger(__name__)

DAY_NS: Final = 86_400_000_000_000
#: between two attempts to lead, and between two proofs of it
STAND_S: Final = 1.0
PROVE_S: Final = 0.5
#: before a new leader acts: longer than between two proofs, so that a former one has noticed
GRACE_S: Final = 1.0
TAIL_S: Final = 20.0
#: of one delivery
BATCH_TICKS: Final = 5_000
#: silence this odd (it would come by chance once in 150 times) is no ground for a promise
DOUBT_NATS: Final = 5.0
#: these no second attempt mends
HOPELESS: Final = (AuthFailed, EntitlementMissing, BadRequest)


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """How a feed goes about it."""

    lateness_ns: int = 2_000_000_000
    """How long consumers wait for late ticks: a promise is less this, and so a hole begins earlier by it."""
    buffer_ticks: int = 100_000
    """Received and not yet delivered at most; then the socket is not read."""
    stall_s: float = 5.0
    """Not read for longer than this, the vendor may have left something out."""
    drain_s: float = 20.0
    """After being told to stop, deliver what was received for at most so long."""
    pace: Pace = field(default_factory=Pace)


@dataclass(slots=True)
class FeedCounts:
    """Since the start of the process."""

    state: str = "starting"
    """starting, standby, connecting, active, stopping."""
    since: float = 0.0
    """Monotonic seconds."""
    received: int = 0
    delivered: int = 0
    clocks: int = 0
    holes: int = 0
    connections: int = 0
    unreadable: int = 0
    refused: int = 0
    price_updates: int = 0
    last_hole: str = ""
    last_error: str = ""


class _Deposed(Exception):
    """We do not lead any more."""


class Feed:
    """Runs until it is told to stop."""

    def __init__(
        self,
        dialogue: Callable[[], Dialogue],
        output: Output,
        records: FeedRecords,
        leadership: Leadership,
        last_word: Callable[[], Coroutine[Any, Any, LastWord | None]],
        clock: Time,
        options: FeedOptions | None = None,
    ) -> None:
        """Take what it works with; it starts nothing and stops nothing of that.

        Args:
            dialogue: makes the talk on a new connection.
            output: started; the active one delivers by it.
            records: of the topics that are filled.
            leadership: candidate for this feed.
            last_word: asks the topics what the predecessor promised last.
            clock: every time is of it.
            options: see there.
        """
        self._dialogue = dialogue
        self._output = output
        self._records = records
        self._leadership = leadership
        self._last_word = last_word
        self._clock = clock
        self._options = options or FeedOptions()
        self._stop = asyncio.Event()
        self._buffer = FeedBuffer(self._options.buffer_ticks, clock)
        self._promise = Promise()
        self._mute = MuteDetector()
        self._backoff = Backoff()
        self._spoke_ns: dict[str, int] = {}
        """Event time of each symbol's last tick; under the empty name of the last tick of any."""
        self._sure_ns = 0
        """Where the next hole begins, if not at the last promise."""
        self._mute_ns: dict[str, int] = {}
        """Up to where the silence of a mute symbol has been told."""
        self._unread = ""
        self.counts = FeedCounts(since=clock.monotonic())
        first = dialogue()
        self._provider, self._feed = first.provider_name, first.feed

    def stop(self) -> None:
        """Deliver what was received, give up the lead, end."""
        self._stop.set()

    @property
    def buffered(self) -> int:
        """Ticks received and not yet delivered."""
        return self._buffer.ticks

    @property
    def promised_ns(self) -> int:
        """Event time of the last clock record; 0 before the first."""
        return self._promise.kept_ns

    async def run(self) -> None:
        """Stand by, lead, stand by again, until told to stop.

        Raises:
            ConfigInvalid: the vendor refuses key, plan or symbols.
            OutageOutlasted: the broker was away for longer than its budget.
            Fatal: the broker or the database refused us.
        """
        while not self._stop.is_set():
            self._turn("standby")
            if await self._stands():
                try:
                    await self._lead()
                except _Deposed:
                    log.warning("another process may lead now: standing by")
                finally:
                    await self._leadership.resign()

    async def _stands(self) -> bool:
        """Wait until we lead; return False if told to stop before, or if it lasted for a moment only."""
        while not self._stop.is_set():
            try:
                if await self._leadership.stand():
                    await self._pause(GRACE_S)
                    return await self._leadership.prove() and not self._stop.is_set()
            except DatabaseAway as exc:
                self._failed(f"who leads cannot be told: {exc}")
            await self._pause(STAND_S)
        return False

    async def _lead(self) -> None:
        """Do the work of the active process.

        Raises:
            _Deposed: we do not lead any more; what was not delivered is dropped.
        """
        self._turn("connecting")
        self._buffer = FeedBuffer(self._options.buffer_ticks, self._clock)
        self._backoff, self._promise = Backoff(), Promise()
        proving = asyncio.create_task(self._prove())
        delivering = asyncio.create_task(self._deliver())
        listening = asyncio.create_task(self._listen())
        stopping = asyncio.create_task(self._stop.wait())
        tasks: tuple[asyncio.Task[Any], ...] = (proving, delivering, listening, stopping)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done and not delivering.done():
                await self._drain(listening, delivering)
            for task in (proving, delivering, listening):
                if task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, listening: asyncio.Task[None], delivering: asyncio.Task[None]) -> None:
        self._turn("stopping")
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await self._buffer.close()
        done, _ = await asyncio.wait((delivering,), timeout=self._options.drain_s)
        if not done:
            log.error("%d ticks were not delivered in time: the next start tells the hole", self.buffered)
        else:
            delivering.result()

    async def _prove(self) -> None:
        while True:
            await asyncio.sleep(PROVE_S)
            if not await self._leadership.prove():
                raise _Deposed

    async def _deliver(self) -> None:
        counts = self.counts
        while entries := await self._buffer.take(BATCH_TICKS):
            if not self._leadership.leads():
                raise _Deposed
            await self._output.deliver(self._records.messages(entries))
            for entry in entries:
                if isinstance(entry, Ticks):
                    counts.delivered += len(entry.ticks)
                elif isinstance(entry, Clock):
                    counts.clocks += 1
                else:
                    counts.holes += 1

    async def _listen(self) -> None:
        """Keep a connection; what is lost between two is told when the next one stands."""
        reason = await self._inherit()
        while True:
            self._turn("connecting")
            try:
                async with connected(self._dialogue(), self._clock, self._options.pace) as connection:
                    self.counts.connections += 1
                    self._mute.forget()
                    await self._follow(connection, reason)
            except HOPELESS as exc:
                raise ConfigInvalid(f"{type(exc).__name__}: {exc}") from exc
            except ProviderError as exc:
                reason = f"connection lost: {exc}"
                self._failed(reason)
                await asyncio.sleep(
                    self._backoff.failed(exc.retry_after_s if isinstance(exc, RateLimited) else 0.0)
                )

    async def _inherit(self) -> str:
        """Take over the promise of whoever led before; return why something may be missing."""
        while True:
            try:
                async with asyncio.timeout(TAIL_S):
                    word = await self._last_word()
            except (Transient, TimeoutError) as exc:
                self._failed(f"{type(exc).__name__}: {exc}")
                await asyncio.sleep(STAND_S)
                continue
            if word is None:
                return "start: nothing is known of a time before"
            self._promise.resume(word.promised_ns, word.delay_ns)
            return "takeover"

    async def _follow(self, connection: Connection, reason: str) -> None:
        """Bring what comes into the buffer.

        Raises:
            ProviderError: the connection has ended, or it is mute.
        """
        counts = self.counts
        while True:
            ticks: list[Tick] = []
            for event in await connection.receive():
                if isinstance(event, Subscribed):
                    await self._resumed(reason, event.at_ns)
                elif isinstance(event, Answered):
                    await self._answered(connection, event)
                elif not _is_tick(event):
                    self._told(event)
                else:
                    ticks.append(event)  # type: ignore[arg-type]
            if ticks:
                counts.received += len(ticks)
                await self._ticks(ticks)

    async def _ticks(self, ticks: Sequence[Tick]) -> None:
        spoke, promise = self._spoke_ns, self._promise
        for tick in ticks:
            spoke[tick.symbol] = spoke[""] = tick.ts_event
            if tick.ts_recv is not None:
                promise.seen(tick.ts_event, tick.ts_recv)
        self._mute.heard(tick.symbol for tick in ticks)
        self._backoff.received(self._clock.monotonic())
        waited_s = await self._buffer.put(Ticks(ticks))
        if waited_s > self._options.stall_s:
            reason = f"slow consumer: the socket was not read for {waited_s:.1f} s"
            self._failed(reason)
            await self._hole(reason, self._clock.now_ns())

    async def _resumed(self, reason: str, at_ns: int) -> None:
        """Tell what was lost up to now: from here on everything comes."""
        await self._hole(reason, at_ns, self._sure_ns)
        self._sure_ns = 0
        for symbol, until_ns in self._mute_ns.items():
            await self._hole(f"mute: {symbol}", at_ns, until_ns, symbol)
        self._mute_ns.clear()
        self._turn("active")

    async def _answered(self, connection: Connection, event: Answered) -> None:
        verdict = self._mute.verdict(self._clock.monotonic())
        if verdict.connection:
            # who is mute may still have answered pings: only what came is beyond doubt
            spoke = [self._spoke_ns[s] for s in verdict.symbols] or [self._spoke_ns[""]]
            self._sure_ns = min(spoke)
            raise ProviderAway(f"mute: {verdict.connection}", provider=self._provider, code="mute")
        promised = self._promise.up_to(event.asked_ns) if self._mute.doubt < DOUBT_NATS else None
        if promised is not None:
            tick = ClockTick(type="clock", ts_event=promised, provider=self._provider, feed=self._feed)
            await self._buffer.put(Clock(tick))
        if verdict.symbols:
            self._failed(f"mute: {', '.join(verdict.symbols[:10])}; subscribing again")
            await connection.subscribe_again(verdict.symbols)
        for symbol in verdict.symbols:
            await self._hole(f"mute: {symbol}", event.asked_ns, self._spoke_ns[symbol], symbol)
            self._mute_ns[symbol] = self._promise.reached(event.asked_ns)
        for symbol in verdict.back:
            await self._hole(f"mute: {symbol}", event.asked_ns, self._mute_ns.pop(symbol), symbol)
        if self._unread:
            reason, self._unread = self._unread, ""
            self._failed(reason)
            await self._hole(reason, event.asked_ns)

    def _told(self, event: Event) -> None:
        counts = self.counts
        if isinstance(event, Unreadable):
            counts.unreadable += 1
            # told once a second: a vendor that has changed its format would fill the topics with holes
            self._unread = f"a message cannot be read: {event.reason}"
        elif isinstance(event, Refused):
            counts.refused += 1
            self._failed(str(event.error))
        elif isinstance(event, PriceUpdate):
            counts.price_updates += 1

    async def _hole(self, reason: str, at_ns: int, since_ns: int = 0, symbol: str = "") -> None:
        """Tell that records may be missing, of a symbol or of all, up to now.

        Args:
            reason: in the record.
            at_ns: now, by the clock of this machine.
            since_ns: event time from which on, if that is before the last promise.
            symbol: told on its partitions alone.
        """
        kept = min(filter(None, (since_ns, self._promise.kept_ns)), default=0)
        until = self._promise.reached(at_ns)
        begin = min(kept - self._options.lateness_ns if kept else until - DAY_NS, until)
        told = Discontinuity(
            type="discontinuity",
            ts_event=until,
            ts_from=begin,
            provider=self._provider,
            feed=self._feed,
            reason=_printable(reason)[:200],
        )
        log.warning("from %d to %d records may be missing: %s", begin, until, reason)
        self.counts.last_hole = reason
        await self._buffer.put(Hole(told, (symbol,) if symbol else ()))

    def _turn(self, state: str) -> None:
        if state != self.counts.state:
            log.info("%s, was %s", state, self.counts.state)
            self.counts.state, self.counts.since = state, self._clock.monotonic()

    def _failed(self, why: str) -> None:
        if why != self.counts.last_error:
            log.warning("%s", why)
        self.counts.last_error = why

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond being told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass


def _is_tick(event: Event) -> bool:
    return not isinstance(
        event, BarRow | Heartbeat | Refused | Unreadable | PriceUpdate | Answered | Subscribed
    )


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text) or "unknown"
