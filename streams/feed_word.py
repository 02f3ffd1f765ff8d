"""What a feed says of itself: up to where nothing is missing, and where something may be.

Pure: what was received goes in, entries for the topics come out. A hole is always said before a clock that
reaches beyond it: whoever is killed between the two has promised nothing that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.mute import MuteDetector
from domain.promise import Promise
from providers.dialogue import Tick
from schemas.discontinuity import Discontinuity
from schemas.trade import ClockTick
from streams.feed_records import Clock, Entry, Hole
from streams.feed_tail import LastWord

DAY_NS: Final = 86_400_000_000_000
#: silence this odd (it would come by chance once in 150 times) is no ground for a promise
DOUBT_NATS: Final = 5.0
#: of mute symbols in a reason
NAMED: Final = 10


@dataclass(slots=True)
class Said:
    """What follows from the answer to a ping."""

    entries: list[Entry] = field(default_factory=list)
    mute: str = ""
    """Why the connection counts as mute and is to be left; empty if it does not."""
    again: tuple[str, ...] = ()
    """Symbols that have fallen silent: to be subscribed again."""


class FeedWord:
    """Of one process while it leads. Times are nanoseconds since the epoch."""

    def __init__(self, provider: str, feed: str, lateness_ns: int) -> None:
        """Promise nothing yet.

        Args:
            provider: in every record, as ``feed``.
            feed: of the provider.
            lateness_ns: how long consumers wait for late ticks.
        """
        self.provider = provider
        self._feed = feed
        self._lateness_ns = lateness_ns
        self._promise = Promise()
        self._detector = MuteDetector()
        self._spoke_ns: dict[str, int] = {}
        """Event time of each symbol's last tick; under the empty name of the last tick of any."""
        self._mute_ns: dict[str, int] = {}
        """Up to where the silence of a mute symbol has been told."""
        self._unread = ""

    @property
    def promised_ns(self) -> int:
        """Event time of the last clock; 0 before the first."""
        return self._promise.kept_ns

    def inherit(self, last: LastWord | None) -> str:
        """Take over the promise of whoever led before; return why something may be missing."""
        if last is None:
            return "start: nothing is known of a time before"
        self._promise.resume(last.promised_ns, last.delay_ns)
        return "takeover"

    def connected(self) -> None:
        """Begin a new connection: nobody is missed before having spoken on it."""
        self._detector.forget()

    def heard(self, ticks: Sequence[Tick]) -> None:
        """Note ticks, in the order in which they came."""
        spoke, promise = self._spoke_ns, self._promise
        for tick in ticks:
            spoke[tick.symbol] = spoke[""] = tick.ts_event
            if tick.ts_recv is not None:
                promise.seen(tick.ts_event, tick.ts_recv)
        self._detector.heard(tick.symbol for tick in ticks)

    def unreadable(self, reason: str) -> None:
        """Note a message that cannot be read; what it said is told as missing with the next answer.

        Not at once: a vendor that has changed its format would fill the topics with holes.
        """
        self._unread = f"a message cannot be read: {reason}"

    def resumed(self, reason: str, at_ns: int) -> list[Entry]:
        """Return what was lost up to now: from here on everything comes."""
        found = [self._hole(reason, at_ns)]
        if self._mute_ns:
            found.append(self._silence(at_ns, list(self._mute_ns)))
        self._mute_ns.clear()
        return list(found)

    def lost(self, reason: str, at_ns: int) -> Hole:
        """Return that something may be missing between the last promise and now."""
        return self._hole(reason, at_ns)

    def answered(self, asked_ns: int, now: float) -> Said:
        """Judge who is silent, and promise what can be promised.

        Args:
            asked_ns: when the ping was sent that has been answered.
            now: monotonic seconds.
        """
        said, verdict = Said(), self._detector.verdict(now)
        if self._unread:
            said.entries.append(self._hole(self._unread, asked_ns))
            self._unread = ""
        if verdict.connection:
            # who is mute may still have answered pings: only what came is beyond doubt
            sure_ns = min([self._spoke_ns[s] for s in verdict.symbols] or [self._spoke_ns[""]])
            said.mute = f"mute: {verdict.connection}"
            said.entries.append(self._hole(said.mute, asked_ns, sure_ns))
            return said
        said.again = verdict.symbols
        self._mute_ns.update((s, self._spoke_ns[s]) for s in verdict.symbols)
        if self._mute_ns:
            # with every answer anew: a successor knows nothing of it, and goes on from the last clock
            said.entries.append(self._silence(asked_ns, list(self._mute_ns)))
        for symbol in verdict.back:
            del self._mute_ns[symbol]
        promised = self._promise.up_to(asked_ns) if self._detector.doubt < DOUBT_NATS else None
        if promised is not None:
            tick = ClockTick(type="clock", ts_event=promised, provider=self.provider, feed=self._feed)
            said.entries.append(Clock(tick))
        return said

    def _silence(self, at_ns: int, symbols: Sequence[str]) -> Hole:
        """Return that of mute symbols something may be missing, from where it was told last."""
        names = ", ".join(symbols[:NAMED]) + (", ..." if len(symbols) > NAMED else "")
        since = min(self._mute_ns.values())
        self._mute_ns.update(dict.fromkeys(symbols, self._promise.reached(at_ns)))
        return self._hole(f"mute: {names}", at_ns, since, symbols)

    def _hole(self, reason: str, at_ns: int, since_ns: int = 0, symbols: Sequence[str] = ()) -> Hole:
        """Return that records may be missing, of symbols or of all, up to now.

        Args:
            reason: in the record.
            at_ns: now, by the clock of this machine.
            since_ns: event time from which on, if that is before the last promise.
            symbols: told on their partitions alone.
        """
        kept = min(filter(None, (since_ns, self._promise.kept_ns)), default=0)
        until = self._promise.reached(at_ns)
        begin = min(kept - self._lateness_ns if kept else until - DAY_NS, until)
        told = Discontinuity(
            type="discontinuity",
            ts_event=until,
            ts_from=begin,
            provider=self.provider,
            feed=self._feed,
            reason=_printable(reason)[:200],
        )
        return Hole(told, tuple(symbols))


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text) or "unknown"
