"""Is a connection mute? It is open, it answers, and yet what it should bring does not come.

Time is cut into slots of about a second, and a symbol speaks in a slot or does not: a burst of a thousand
trades says no more about the next second than one trade. How likely silence is by chance follows from how
often the symbol spoke, and from how many others speak since, compared with how many did while it spoke:
when the whole market is quiet, nobody is suspicious. That comparison is with the time of its last word, as
those who go on speaking get used to a quiet market, and who is silent does not. Only the connection as a
whole has nobody to be held against but its own past.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log, sqrt


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

    __slots__ = (
        "_before",
        "_first",
        "_heard",
        "_sum",
        "last_at",
        "last_slot",
        "mute",
        "nats",
        "often",
        "others",
        "spoken",
        "surely",
    )

    def __init__(self, slot: int, before: float) -> None:
        self.spoken = 0
        self.often = 0.0
        """In which part of the slots it spoke, as of the last time."""
        self.surely = 0.0
        """The same, less its standard error: what has been heard for a short while may be luck."""
        self.others = 0.0
        """How many others spoke in a slot, as of the last time."""
        self.nats = 0.0
        self.mute = False
        self.last_at = 0.0
        self.last_slot = slot
        self._first = slot
        self._before = before
        """What everybody had said before its first slot."""
        self._sum = 0.0
        self._heard = 0
        """From others, since it is silent."""

    def speaks(self, slot: int, now: float, keep: float, heard: float) -> None:
        """Take ``heard``, what everybody has said with this slot, of which the old counts less."""
        self._sum = self._sum * keep ** (slot - self.last_slot) + 1
        # a memory that is not full yet is judged by what it can hold
        slots = slot - self._first + 1
        held = (1 - keep**slots) / (1 - keep)
        self.often = min(1.0, self._sum / held)
        self.surely = self.often - sqrt(self.often * (1 - self.often) / held)
        self.others = max(0.0, heard - self._before * keep**slots - self._sum) / held
        self.spoken += 1
        self.last_slot, self.last_at = slot, now
        self.nats, self._heard = 0.0, 0

    def is_silent(self, slot: int, often: float) -> None:
        self.nats = (self.last_slot - slot) * log(1 - often)

    def activity(self, slot: int, speaking: int) -> float:
        """Note a silent slot in which so many others spoke; return how busy they surely are since, 1 at most.

        Over the whole silence: a single slot says little about how quiet the market is. Needs `others`.
        """
        self._heard += speaking
        surely = self._heard - sqrt(self._heard)
        return min(1.0, surely / (slot - self.last_slot) / self.others)


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
        self._heard = 0.0
        """How many spoke in all slots; the old counts less."""
        self._all = _Habit(0, 0.0)
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
        before = self._heard
        self._heard = before * self._keep + len(fresh)
        if fresh:
            self._all.speaks(self._slot, now, self._keep, self._heard)
        else:
            self._all.is_silent(self._slot, min(self._all.often, self._patience.surest_connection))
        back = []
        for symbol in fresh:
            habit = self._habits.get(symbol)
            if habit is None:
                habit = self._habits[symbol] = _Habit(self._slot, before)
            elif habit.mute:
                habit.mute = False
                back.append(symbol)
            habit.speaks(self._slot, now, self._keep, self._heard)
        return tuple(back)

    def _missed(self, fresh: set[str], now: float) -> tuple[str, ...]:
        """Let those that are silent become more suspicious, as far as the others are not silent too."""
        wanted = self._patience
        missed = []
        for symbol, habit in self._habits.items():
            if symbol in fresh or habit.mute or not habit.others:
                continue
            expected = habit.surely * habit.activity(self._slot, len(fresh))
            habit.is_silent(self._slot, min(expected, wanted.surest))
            known = habit.spoken >= wanted.known
            if known and habit.nats >= wanted.nats and now - habit.last_at >= wanted.silence_s:
                missed.append(symbol)
        return tuple(missed)

    def _silence(self, now: float) -> str:
        habit, wanted = self._all, self._patience
        silence = now - habit.last_at
        if habit.spoken < wanted.known or habit.nats < wanted.nats or silence < wanted.silence_s:
            return ""
        return f"nothing for {silence:.1f} s, where something came in {habit.often:.0%} of seconds"
