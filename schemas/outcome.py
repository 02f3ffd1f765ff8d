"""What became of one request to a provider: the values of ``md.provider-outcomes.v1``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Nanos, OutputModel, Symbol
from schemas.provider import Adjustment, Coverage, Interval, ProviderName

Outcome = Literal[
    "ok",
    "empty",
    "not_found",
    "rate_limited",
    "entitlement",
    "bad_request",
    "auth",
    "away",
    "malformed",
]
"""How it ended. The last three speak against the provider; those before them say nothing of its health."""
FAILURES: frozenset[Outcome] = frozenset({"auth", "away", "malformed"})
NEUTRAL: frozenset[Outcome] = frozenset({"not_found", "rate_limited", "entitlement", "bad_request"})

Purpose = Literal["job", "probe", "judgement", "proof"]
"""The last two are about rows that were served before, nobody was asked. `judgement`: another provider says
otherwise; `proof`: others who agree do, or one whose word counts alone."""
OF_ROWS: frozenset[Purpose] = frozenset({"judgement", "proof"})


class Asked(OutputModel):
    """One symbol of what was asked: enough to ask it again as a probe."""

    symbol: Symbol
    interval: Interval | None = Field(default=None, description="None: quotes.")
    adjustment: Adjustment = "raw"
    coverage: Coverage = "consolidated"
    start: Nanos | None = Field(default=None, description="Of quotes: None means the latest.")
    end: Nanos | None = Field(default=None, description="Exclusive.")


class ProviderOutcome(OutputModel):
    """One answer of a provider, or the lack of one."""

    provider: ProviderName
    id: str = Field(max_length=64, description="Of this outcome: repeats of it are the same outcome.")
    ts: Nanos = Field(description="When it ended, by the clock of the worker that asked.")
    purpose: Purpose = "job"
    outcome: Outcome
    latency_ms: float = Field(default=0.0, ge=0, description="From the request to the end of the answer.")
    rows: int = Field(default=0, ge=0)
    incompleteness: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of rows that should have been there and were missing or wrong; None: not judged.",
    )
    asked: Asked | None = None
    job_id: str = Field(default="", max_length=128)
    worker: str = Field(default="", max_length=128)
    detail: str = Field(default="", max_length=512, description="What the provider said, without secrets.")
