"""What the router is asked and what it answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from providers.base import BarsRequest, BarsResult, QuotesRequest, QuotesResult
from schemas.outcome import Outcome
from schemas.provider import Coverage, Kind, ProviderName

Request: TypeAlias = BarsRequest | QuotesRequest
Result: TypeAlias = BarsResult | QuotesResult


@dataclass(frozen=True, slots=True)
class Wants:
    """What whoever asks will have."""

    job_id: str
    """For the outcomes; empty if it is no job."""
    coverage: Coverage = "consolidated"
    allow_downgrade: bool = False
    """Lesser coverage is better than none, for a while."""
    hint: ProviderName | None = None
    """Whom to ask first, if it is fit."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings in force, taken anew for every request."""

    policies: Mapping[Kind, Sequence[ProviderName]]
    """Whom to ask, best first."""
    trip_failures: int = 3
    """So many failures in a row here, and a provider is left alone for a moment."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider asked once."""

    provider: ProviderName
    outcome: Outcome
    rows: int
    latency_ms: float
    """Of all that the vendor had to be asked for it."""
    at_ns: int
    """When it ended, nanoseconds since the epoch."""
    detail: str
    """What the provider said; empty if it gave rows."""
    symbols: int
    """How many it was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of one provider, never of two."""

    result: Result
    provisional: bool
    """Of lesser coverage than was wanted."""
    asked_ns: int
    """When the provider was asked, nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A part of the request that nobody has served."""

    request: Request
    why: str
    """What speaks against each provider, and what was tried."""
    never: bool
    """Nobody can ever serve it; else it is to be asked again."""
    not_before_ns: int = 0
    """It is no use earlier, nanoseconds since the epoch; 0: as soon as a provider is back."""
    heal: bool = False
    """Rows of lesser coverage are among the answers: these are to replace them."""


@dataclass(slots=True)
class Served:
    """What became of a request."""

    answers: list[Answer] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    """In the order in which they were made."""
    rest: list[Rest] = field(default_factory=list)
    empty: tuple[str, ...] = ()
    """Symbols of which those who were asked have nothing."""
    wrong: str = ""
    """A provider says that the request itself is wrong; nobody else was asked."""


def kind_of(request: Request) -> Kind:
    """Return which policy a request follows."""
    if isinstance(request, QuotesRequest):
        return "quotes_l1"
    return "bars_1d" if request.interval == "1d" else "bars_1m"
