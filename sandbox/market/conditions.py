"""Sale conditions of the simulated tape: what each is called by whom, and what it counts for in a bar.

One meaning has different letters on the two tapes, and numbers at polygon; bars of every vendor are made
from the meaning. Sources: the condition table that polygon publishes (ids 1 to 10), the two tapes'
specifications for the rest.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Effect(NamedTuple):
    """What a trade with a condition counts for."""

    high_low: bool
    open_close: bool
    volume: bool


_ALL = Effect(high_low=True, open_close=True, volume=True)
_VOLUME = Effect(high_low=False, open_close=False, volume=True)
_NOT_LAST = Effect(high_low=True, open_close=False, volume=True)
_NONE = Effect(high_low=False, open_close=False, volume=False)


class Sale(enum.Enum):
    """Under which condition a trade was made.

    The value is (letter on tapes A and B, letter on tape C, number at polygon, effect).
    """

    REGULAR = (" ", "@", 0, _ALL)
    SWEEP = ("F", "F", 14, _ALL)
    CROSS = ("X", "X", 9, _ALL)
    OPENING = ("O", "O", 25, _ALL)
    REOPENING = ("5", "5", 28, _ALL)
    CLOSING = ("6", "6", 8, _ALL)
    EXTENDED = ("T", "T", 12, _ALL)
    """Out of regular hours: counts for minute bars there, never for the prices of the daily bar."""
    ODD_LOT = ("I", "I", 37, _VOLUME)
    """The effect is the consolidated tape's; a vendor's rule may differ."""
    DERIVATIVE = ("4", "4", 10, _NOT_LAST)
    PRIOR_REFERENCE = ("P", "P", 22, _NOT_LAST)
    OUT_OF_SEQUENCE = ("Z", "Z", 32, _NOT_LAST)
    AVERAGE_PRICE = ("B", "W", 2, _VOLUME)
    CASH = ("C", "C", 7, _VOLUME)
    NEXT_DAY = ("N", "N", 20, _VOLUME)
    SELLER = ("R", "R", 29, _VOLUME)
    CONTINGENT = ("V", "V", 52, _VOLUME)
    OFFICIAL_OPEN = ("Q", "Q", 16, _NONE)
    OFFICIAL_CLOSE = ("M", "M", 15, _NONE)

    #: a member is itself alone; the hash of Enum is a call in Python, once per trade and bar
    __hash__ = object.__hash__

    def letter(self, tape: str) -> str:
        """Return its letter on a tape (A, B or C)."""
        return self.value[1] if tape == "C" else self.value[0]

    @property
    def number(self) -> int:
        """Its number at polygon; 0 is not sent."""
        return self.value[2]

    @property
    def effect(self) -> Effect:
        """What it counts for on the consolidated tape."""
        return self.value[3]
