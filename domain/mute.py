"""Is a connection mute? It is open, it answers, and yet what it should bring does not come.

Time is cut into slots of about a second, and a symbol speaks in a slot or does not: a burst of a thousand
trades says no more about the next second than one trade. How likely silence is by chance follows from how
often the symbol spoke, and from how many of the others speak: when the whole market is quiet, nobody is
suspicious. Only the connection as a whole has nobody to be held against but its own past.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log


@dataclass(frozen=True, slots=True)
class Patience:
    """When silence is suspicious."""

    nats: float = 23.0
    """Silence less likely than exp(-nats) is no chance: 23 is one in ten thousand millions."""
    silence_s: float = 4.5
    """And it must have lasted so long."""
    memory: float = 120.0
    """Slots: what is this old counts a third."""
    known: int = 10
    """Who has spoken in so many slots can be missed."""
    part: float = 0.5
    """If this part of those that are known is mute, three at least, the connection is."""
    surest: float = 0.9
    """A symbol that speaks in every slot may still miss one as often as this allows."""
    surest_connection: float = 0.99
    """The same of the connection as a whole."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is mute, as of one moment."""

    connection: str = ""
    """Why the connection counts as mute; empty if it does not."""
    symbols: tuple[str, ...] = ()
    """Newly mute: told once in each silence. If the connection is mute, those that prove it."""
    back: tuple[str, ...] = ()
    """Were mute and have spoken again."""


class _Habit:
    """How often somebody speaks, and how odd the present silence is."""

    __slots__ = ("_first", "_mean", "last_at", "last_slot", "mute", "nats", "often", "spoken")

    def __init__(self, slot: int) -> None:
        self.spoken = 0
        self.often = 0.0
        """In which part of the slots it spoke, as of the last time."""
        self.nats = 0.0
        self.mute = False
        self.last_at = 0.0
        self.last_slot = slot
        self._first = slot
        self._mean = 0.0

    def speaks(self, slot: int, now: float, keep: float) -> None:
        self._mean = self._mean * keep ** (slot - self.last_slot) + 1 - keep
        # a memory that is not full yet is judged by what it can hold
        self.often = min(1.0, self._mean / (1 - keep ** (slot - self._first + 1)))
        self.spoken += 1
        self.last_slot, self.last_at = slot, now
        self.nats = 0.0

    def is_silent(self, activity: float, surest: float) -> None:
        self.nats -= log(1 - min(self.often * activity, surest))


class MuteDetector:
    """Hears who speaks, and says who should have. Times are monotonic seconds."""

    def __init__(self, patience: Patience | None = None) -> None:
        """Know nobody yet: who never spoke cannot fall silent."""
        self._patience = patience or Patience()
        self._keep = 1 - 1 / self._patience.memory
        self.forget()

    def forget(self) -> None:
        """Begin again, as on a new connection: nobody is missed before having spoken there."""
        self._slot = 0
        self._habits: dict[str, _Habit] = {}
        self._all = _Habit(0)
        self._fresh: set[str] = set()

    @property
    def doubt(self) -> float:
        """How odd it is that nothing at all comes, in nats as of the last verdict; 0 if something came."""
        return self._all.nats if self._all.spoken >= self._patience.known else 0.0

    def heard(self, symbols: Iterable[str]) -> None:
        """Note who has spoken since the last verdict."""
        self._fresh.update(symbols)

    def verdict(self, now: float) -> Verdict:
        """End a slot and return what is mute; to be called about once a second."""
        self._slot += 1
        fresh, self._fresh = self._fresh, set()
        back = self._listen(fresh, now)
        missed = self._missed(fresh, now)
        if why := self._silence(now):
            return Verdict(connection=why, back=back)
        known = sum(h.spoken >= self._patience.known for h in self._habits.values())
        mute = sum(h.mute for h in self._habits.values()) + len(missed)
        if missed and mute >= max(3.0, self._patience.part * known):
            return Verdict(f"{mute} of {known} symbols say nothing", missed, back)
        for symbol in missed:
            self._habits[symbol].mute = True
        return Verdict(symbols=missed, back=back)

    def _listen(self, fresh: set[str], now: float) -> tuple[str, ...]:
        if fresh:
            self._all.speaks(self._slot, now, self._keep)
        else:
            self._all.is_silent(1.0, self._patience.surest_connection)
        back = []
        for symbol in fresh:
            habit = self._habits.get(symbol)
            if habit is None:
                habit = self._habits[symbol] = _Habit(self._slot)
            elif habit.mute:
                habit.mute = False
                back.append(symbol)
            habit.speaks(self._slot, now, self._keep)
        return tuple(back)

    def _missed(self, fresh: set[str], now: float) -> tuple[str, ...]:
        """Let those that are silent become more suspicious, as far as the others are not silent too."""
        wanted = self._patience
        judged = {s: h for s, h in self._habits.items() if not h.mute and h.spoken >= wanted.known}
        expected = sum(h.often for h in judged.values())
        speaking = sum(symbol in fresh for symbol in judged)
        missed = []
        for symbol, habit in judged.items():
            others = expected - habit.often
            if symbol in fresh or others <= 0:
                continue
            habit.is_silent(min(1.0, speaking / others), wanted.surest)
            if habit.nats >= wanted.nats and now - habit.last_at >= wanted.silence_s:
                missed.append(symbol)
        return tuple(missed)

    def _silence(self, now: float) -> str:
        habit, wanted = self._all, self._patience
        silence = now - habit.last_at
        if habit.spoken < wanted.known or habit.nats < wanted.nats or silence < wanted.silence_s:
            return ""
        return f"nothing for {silence:.1f} s, where something came in {habit.often:.0%} of seconds"
