"""Splits and dividends, and by how much they change what came before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Split:
    """From this session on there are ``to`` shares where there were ``of``."""

    symbol: str
    day: date
    to: int
    of: int = 1

    @property
    def ratio(self) -> float:
        """Shares after per share before."""
        return self.to / self.of


@dataclass(frozen=True, slots=True)
class Dividend:
    """From this session on the shares trade without it."""

    symbol: str
    day: date
    cash: float
    """Dollars a share."""
    previous_close: float
    """The raw close of the session before, of which it is a part."""

    @property
    def factor(self) -> float:
        """What earlier prices are multiplied by."""
        return 1 - self.cash / self.previous_close


def split_ratio(splits: Iterable[Split], day: date, known_by: date) -> float:
    """Return by what to divide prices (and multiply sizes) of a session, for splits up to ``known_by``."""
    ratio = 1.0
    for split in splits:
        if day < split.day <= known_by:
            ratio *= split.ratio
    return ratio


def dividend_factor(dividends: Iterable[Dividend], day: date, known_by: date) -> float:
    """Return by what to multiply prices of a session, for dividends up to ``known_by``."""
    factor = 1.0
    for dividend in dividends:
        if day < dividend.day <= known_by:
            factor *= dividend.factor
    return factor
