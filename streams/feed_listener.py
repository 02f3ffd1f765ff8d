"""Keeps a connection to the vendor, and brings what comes on it into the buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from domain.backoff import Backoff
from domain.clock import Clock as Time
from providers.base import BarRow
from providers.connection import Answered, Connection, Event, Subscribed, connected
from providers.dialogue import Dialogue, Heartbeat, PriceUpdate, Refused, Tick, Unreadable
from schemas.errors import (
    AuthFailed,
    BadRequest,
    ConfigInvalid,
    EntitlementMissing,
    ProviderAway,
    ProviderError,
    RateLimited,
    Transient,
)
from streams.feed_buffer import FeedBuffer
from streams.feed_counts import FeedCounts
from streams.feed_options import FeedOptions
from streams.feed_records import Entry, Hole, Ticks
from streams.feed_tail import LastWord
from streams.feed_word import FeedWord

AskLastWord = Callable[[], Coroutine[Any, Any, LastWord | None]]
#: for the predecessor's last word, and before asking for it again
TAIL_S: Final = 20.0
TAIL_AGAIN_S: Final = 1.0
#: these no second attempt mends
HOPELESS: Final = (AuthFailed, EntitlementMissing, BadRequest)


class FeedListener:
    """Of one process while it leads."""

    def __init__(
        self,
        dialogue: Callable[[], Dialogue],
        buffer: FeedBuffer,
        word: FeedWord,
        counts: FeedCounts,
        clock: Time,
        options: FeedOptions,
    ) -> None:
        """Take what it fills; it connects to nothing yet."""
        self._dialogue = dialogue
        self._buffer = buffer
        self._word = word
        self._counts = counts
        self._clock = clock
        self._options = options
        self._backoff = Backoff()

    async def run(self, last_word: AskLastWord) -> None:
        """Listen for ever; what is lost between two connections is told when the next one stands.

        Args:
            last_word: asks the topics what the predecessor promised last.

        Raises:
            ConfigInvalid: the vendor refuses key, plan or symbols.
        """
        reason = self._word.inherit(await self._ask(last_word))
        while True:
            self._counts.turn("connecting", self._clock.monotonic())
            connection: Connection | None = None
            try:
                async with connected(self._dialogue(), self._clock, self._options.pace) as connection:
                    self._counts.connections += 1
                    self._word.connected()
                    await self._follow(connection, reason)
            except ProviderError as exc:
                # once everything stood, it is no answer to us: the next login tells whether it is for good
                stood = connection is not None and connection.subscribed
                if isinstance(exc, HOPELESS) and not stood:
                    raise ConfigInvalid(f"{type(exc).__name__}: {exc}") from exc
                reason = f"connection lost: {exc}"
                self._counts.failed(reason)
                wait_s = exc.retry_after_s if isinstance(exc, RateLimited) else 0.0
                await asyncio.sleep(self._backoff.failed(wait_s))

    async def _ask(self, last_word: AskLastWord) -> LastWord | None:
        while True:
            try:
                async with asyncio.timeout(TAIL_S):
                    return await last_word()
            except (Transient, TimeoutError) as exc:
                self._counts.failed(f"{type(exc).__name__}: {exc}")
                await asyncio.sleep(TAIL_AGAIN_S)

    async def _follow(self, connection: Connection, reason: str) -> None:
        """Bring what comes into the buffer.

        Raises:
            ProviderError: the connection has ended, or it is mute.
        """
        while True:
            ticks: list[Tick] = []
            for event in await connection.receive():
                if isinstance(event, Subscribed):
                    await self._tell(self._word.resumed(reason, event.at_ns))
                    self._counts.turn("active", self._clock.monotonic())
                elif isinstance(event, Answered):
                    await self._answered(connection, event)
                elif not _is_tick(event):
                    self._note(event)
                else:
                    ticks.append(event)  # type: ignore[arg-type]
            if ticks:
                await self._take(ticks)

    async def _take(self, ticks: list[Tick]) -> None:
        self._counts.received += len(ticks)
        self._word.heard(ticks)
        self._backoff.received(self._clock.monotonic())
        await self._put(Ticks(ticks))

    async def _answered(self, connection: Connection, event: Answered) -> None:
        said = self._word.answered(event.asked_ns, self._clock.monotonic())
        await self._tell(said.entries)
        if said.mute:
            raise ProviderAway(said.mute, provider=self._word.provider, code="mute")
        if said.again:
            self._counts.failed(f"mute: {', '.join(said.again[:10])}; subscribing again")
            await connection.subscribe_again(said.again)

    async def _tell(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            await self._put(entry)

    async def _put(self, entry: Entry) -> None:
        """Put an entry into the buffer; tell if the socket was not read for long meanwhile."""
        if isinstance(entry, Hole):
            self._counts.told(entry.told.reason)
        waited_s = await self._buffer.put(entry)
        if waited_s > self._options.stall_s:
            reason = f"slow consumer: the socket was not read for {waited_s:.1f} s"
            await self._put(self._word.lost(reason, self._clock.now_ns()))

    def _note(self, event: Event) -> None:
        counts = self._counts
        if isinstance(event, Unreadable):
            counts.unreadable += 1
            self._word.unreadable(event.reason)
        elif isinstance(event, Refused):
            counts.refused += 1
            counts.failed(str(event.error))
        elif isinstance(event, PriceUpdate):
            counts.price_updates += 1


def _is_tick(event: Event) -> bool:
    return not isinstance(
        event, BarRow | Heartbeat | Refused | Unreadable | PriceUpdate | Answered | Subscribed
    )
