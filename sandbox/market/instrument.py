"""What is listed on the simulated exchange."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

#: the first of the list trades most; the names are real so that every spelling rule of vendors is met
NAMES = [
    "AAPL",
    "SPY",
    "TSLA",
    "NVDA",
    "AMD",
    "MSFT",
    "AMZN",
    "F",
    "BRK.B",
    "IBM",
    "GE",
    "KO",
    "T",
    "INTC",
    "DIS",
    "PFE",
    "CSCO",
    "UBER",
    "JPM",
    "BA",
    "XOM",
    "CVX",
    "WMT",
    "HD",
    "PG",
    "V",
    "MA",
    "NKE",
    "SBUX",
    "MCD",
]
TAPE_C = frozenset(["AAPL", "TSLA", "NVDA", "AMD", "MSFT", "AMZN", "INTC", "CSCO", "SBUX"])
TAPE_B = frozenset({"SPY"})
#: trades a minute in regular hours, of the busiest; the k-th has so many times as few as k to the power
BUSIEST, POWER, QUIETEST = 8.0, 0.6, 0.25
#: prices are kept as whole numbers of these parts: exact on the grid of four decimals
UNITS = 10_000
CENT = 100


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol."""

    symbol: str
    rank: int
    """0 is the busiest."""
    tape: str
    """A, B or C."""
    price: float
    """In dollars, before the first session."""
    rate: float
    """Trades a minute in regular hours, on average."""
    daily_move: float
    """Standard deviation of a day's return."""

    @property
    def home(self) -> str:
        """Letter of the exchange that lists it."""
        return {"A": "N", "B": "P", "C": "Q"}[self.tape]


def names(count: int) -> list[str]:
    """Return so many symbols, busiest first: known ones, then four letters that start with Z."""
    letters = string.ascii_uppercase
    more = (f"Z{a}{b}{c}" for a in letters for b in letters for c in letters)
    return [*NAMES[:count], *(next(more) for _ in range(count - len(NAMES)))]


def listed(seed: int, count: int) -> dict[str, Instrument]:
    """Return so many instruments, busiest first; those of a smaller count are the same."""
    found: dict[str, Instrument] = {}
    for rank, symbol in enumerate(names(count)):
        draw = random.Random(f"{seed}|{symbol}|instrument")  # noqa: S311 - a simulation, not a secret
        tape = "C" if symbol in TAPE_C else "B" if symbol in TAPE_B else "A"
        price = round(10 ** draw.uniform(1.2, 2.6), 2)
        rate = max(QUIETEST, BUSIEST / (rank + 1) ** POWER)
        found[symbol] = Instrument(symbol, rank, tape, price, rate, draw.uniform(0.008, 0.03))
    return found
