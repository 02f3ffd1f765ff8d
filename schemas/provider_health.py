"""The provider table: the values of ``md.provider-health.v1``, one a provider, the last one counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Nanos, OutputModel
from schemas.outcome import Asked
from schemas.provider import ProviderName

State = Literal["closed", "half_open", "open"]
"""Of the breaker. Only a closed one lets jobs through; a half-open one lets through one probe at a time."""
HISTORY = 60


class HealthSample(OutputModel):
    """One outcome as far as the score needs it."""

    ts: Nanos
    failed: bool
    latency_ms: float | None = Field(default=None, ge=0, description="None: of rows that were served before.")
    incompleteness: float | None = Field(default=None, ge=0, le=1)


class HealthPoint(OutputModel):
    """The score at a moment."""

    ts: Nanos
    score: float = Field(ge=0, le=1)


class HealthTerms(OutputModel):
    """What the score is made of, each from 0 (bad) to 1 (good), before the weights."""

    breaker: float = Field(default=1.0, ge=0, le=1)
    latency: float = Field(default=1.0, ge=0, le=1)
    errors: float = Field(default=1.0, ge=0, le=1)
    completeness: float = Field(default=1.0, ge=0, le=1)


class ProviderHealth(OutputModel):
    """How a provider does. Whoever folds the outcomes after `position` to it gets the next one."""

    provider: ProviderName
    state: State = "closed"
    score: float = Field(default=1.0, ge=0, le=1)
    terms: HealthTerms = HealthTerms()
    since: Nanos = Field(description="When the breaker came to this state.")
    retry_at: Nanos | None = Field(default=None, description="While open: when the first probe goes.")
    reason: str = Field(default="", max_length=512, description="Why it is in this state; empty: never left.")
    transitions: int = Field(default=0, ge=0, description="Changes of state so far.")
    failures_in_row: int = Field(default=0, ge=0)
    passes: int = Field(default=0, ge=0, description="While half-open: probes that went well, in a row.")
    samples: tuple[HealthSample, ...] = Field(default=(), description="The window, oldest first.")
    history: tuple[HealthPoint, ...] = Field(default=(), max_length=HISTORY, description="Oldest first.")
    asked: Asked | None = Field(default=None, description="What a probe asks: the last thing that a job did.")
    partition: int = Field(default=0, ge=0, description="Of the outcomes.")
    position: int = Field(default=0, ge=0, description="Outcomes of that partition below it are in here.")
    ts: Nanos = Field(description="When it was made.")
    worker: str = Field(default="", max_length=128)
