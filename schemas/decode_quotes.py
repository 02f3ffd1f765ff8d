"""Bytes of ``md.quotes.raw.v1`` to quotes, a chunk at a time; what cannot be used gets a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic

import msgspec

from schemas.base import NAME, OPTIONAL_NAME, SYMBOL
from schemas.chunk import Contract, Forms, R, kind_of, sort_out, unusable, validated
from schemas.discontinuity import Discontinuity
from schemas.errors import Poison
from schemas.quote import QUOTE_CONDITIONS, QuoteTick, RawQuote
from schemas.trade import TAPE, VENUE, ClockTick

Words = tuple[str, ...]

#: in two: each by itself has few values, both together have their product
_SOURCES = Forms(SYMBOL, NAME, OPTIONAL_NAME)
_DETAILS = Forms(VENUE, VENUE, QUOTE_CONDITIONS, TAPE)
_source: Callable[[RawQuote], Words] = attrgetter("symbol", "provider", "feed")
_detail: Callable[[RawQuote], Words] = attrgetter("bid_venue", "ask_venue", "conditions", "tape")
_BESIDE: Mapping[object, type[ClockTick | Discontinuity]] = {
    "clock": ClockTick,
    "discontinuity": Discontinuity,
}


@dataclass(slots=True)
class DecodedQuotes(Generic[R]):
    """A chunk, sorted out. ``records[i]`` is where ``quotes[i]`` came from."""

    quotes: list[RawQuote]
    records: Sequence[R]
    beside: list[tuple[int, R, ClockTick | Discontinuity]] = field(default_factory=list)
    """(how many of ``quotes`` precede it, its record, what it is)."""
    rejects: list[tuple[R, Poison]] = field(default_factory=list)

    @property
    def discontinuities(self) -> list[Discontinuity]:
        """Holes in feeds."""
        return [what for _, _, what in self.beside if isinstance(what, Discontinuity)]

    @property
    def clocks(self) -> list[ClockTick]:
        """Signs of life of feeds."""
        return [what for _, _, what in self.beside if isinstance(what, ClockTick)]


def decode_chunk(records: Sequence[R]) -> DecodedQuotes[R]:
    """Return the quotes of a chunk in order, the records beside them, and the poison with its reasons."""
    found = sort_out(records, _CONTRACT)
    beside = [
        (at, record, what) for at, record, what in found.beside if isinstance(what, ClockTick | Discontinuity)
    ]
    return DecodedQuotes(found.ticks, found.records, beside, found.rejects)


def examine(value: bytes | None) -> RawQuote | ClockTick | Discontinuity | Poison:
    """Return what the contract says of one value: the slow, exact way."""
    if (poison := unusable(value)) or value is None:
        assert poison is not None, "None is not usable"
        return poison
    if (model := _BESIDE.get(kind_of(value))) is not None:
        return validated(value, model)
    tick = validated(value, QuoteTick)
    return tick if isinstance(tick, Poison) else RawQuote(**dict(tick))


def _malformed(quotes: Sequence[RawQuote]) -> Sequence[int]:
    if _SOURCES.cover(map(_source, quotes)) and _DETAILS.cover(map(_detail, quotes)):
        return ()
    return [
        i for i, q in enumerate(quotes) if not (_SOURCES.allow(_source(q)) and _DETAILS.allow(_detail(q)))
    ]


_CONTRACT = Contract(RawQuote, msgspec.json.Decoder(RawQuote).decode, examine, _malformed)
