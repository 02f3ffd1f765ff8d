"""Sale conditions of vendors that number them, as letters of the tape.

In ``Trade.conditions`` each condition is one character: its letter on the tape (CTA for A and B, UTP for C).
The same letter may mean two things on the two tapes, so it is read together with ``Trade.tape``. A
condition without a letter there is three characters, ``?`` and two small letters that are its number to
the base of 26: ``?ab`` is 1, ``?zz`` 675; higher ones are all ``?~~``. No tape has a small letter or ``?``:
whoever looks for a letter of the tape does not find one by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from providers.dialogue import fitting

#: number at polygon -> (letter of CTA, letter of UTP). 1 to 10 as polygon publishes them in the recorded
#: answer of /v3/reference/conditions; the others by the names in polygon's glossary and the letters that
#: the tapes' specifications have for those names. Without 6 (CAP election): polygon has CTA's `I` for it,
#: which is the odd lot today
POLYGON: Final[Mapping[int, tuple[str, str]]] = {
    0: (" ", "@"),  # regular sale
    1: ("", "A"),  # acquisition
    2: ("B", "W"),  # average price
    3: ("E", ""),  # automatic execution
    4: ("", "B"),  # bunched
    5: ("", "G"),  # bunched sold
    7: ("C", "C"),  # cash
    8: ("6", "6"),  # closing prints; polygon names UTP's letter alone, CTA's `6` is the closing trade
    9: ("X", "X"),  # cross
    10: ("4", "4"),  # derivatively priced
    11: ("", "D"),  # distribution
    12: ("T", "T"),  # form T: extended hours
    13: ("U", "U"),  # extended hours, sold out of sequence
    14: ("F", "F"),  # intermarket sweep
    15: ("M", "M"),  # official close of a market centre
    16: ("Q", "Q"),  # official open of a market centre
    17: ("O", ""),  # opening trade of a market centre
    18: ("5", ""),  # reopening trade of a market centre
    19: ("6", ""),  # closing trade of a market centre
    20: ("N", "N"),  # next day
    21: ("H", "H"),  # price variation
    22: ("P", "P"),  # prior reference price
    23: ("K", "K"),  # rule 155
    25: ("O", "O"),  # opening prints
    27: ("", "1"),  # stopped stock
    28: ("5", "5"),  # reopening prints
    29: ("R", "R"),  # seller
    30: ("L", "L"),  # sold last
    32: ("Z", "Z"),  # sold out of sequence
    34: ("", "S"),  # split
    36: ("", "Y"),  # yellow flag
    37: ("I", "I"),  # odd lot
    38: ("9", "9"),  # corrected consolidated close
    52: ("V", "V"),  # contingent
    53: ("7", "7"),  # qualified contingent
    59: ("8", "8"),  # exempt from rule 611
}
#: number at finnhub -> letter of UTP: finnhub does not say which tape a trade is of
FINNHUB: Final[Mapping[int, str]] = {
    1: "@",
    2: "A",
    3: "W",
    4: "B",
    5: "C",
    6: "D",
    8: "F",
    9: "G",
    10: "H",
    12: "I",
    14: "K",
    15: "L",
    16: "M",
    17: "N",
    19: "O",
    20: "Q",
    21: "P",
    22: "R",
    23: "S",
    24: "T",
    25: "U",
    26: "V",
    28: "X",
    29: "Y",
    30: "Z",
    31: "1",
    32: "4",
    34: "5",
    36: "6",
    37: "7",
    38: "8",
    39: "9",
}
_BASE: Final = 26


def of_polygon(numbers: Iterable[int], tape: str) -> str:
    """Return polygon's conditions as characters.

    Args:
        numbers: as sent.
        tape: A, B or C; without one only what has the same letter on both tapes is written as a letter.
    """
    return fitting("".join(_polygon(number, tape) for number in numbers))


def of_finnhub(numbers: Iterable[str]) -> str:
    """Return finnhub's conditions as characters.

    Raises:
        ValueError: one is not a number.
    """
    return fitting("".join(FINNHUB.get(n, "") or numbered(n) for n in map(int, numbers)))


def numbered(number: int) -> str:
    """Return how a condition without a letter is written."""
    if not 0 <= number < _BASE * _BASE:
        return "?~~"
    return f"?{chr(97 + number // _BASE)}{chr(97 + number % _BASE)}"


def _polygon(number: int, tape: str) -> str:
    cta, utp = POLYGON.get(number, ("", ""))
    if not tape:
        return cta if cta and cta == utp else numbered(number)
    return (utp if tape == "C" else cta) or numbered(number)
