"""Settings of the provider table, the router and the jobs. Part of `streams.setting_fields.Settings`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.health import HealthRules
from domain.policy import breaker_faults, policy_faults, positive_faults, weight_faults
from schemas.provider import PROVIDERS, Kind, ProviderName

Names = Annotated[tuple[str, ...], NoDecode]
"""Words by commas or as a JSON list."""
Numbers = Annotated[tuple[float, ...], NoDecode]
"""Numbers by commas or as a JSON list."""


def live(default: Any, **constraints: Any) -> Any:
    """Return a field that a reload changes; the others need a restart."""
    return Field(default=default, json_schema_extra={"live": True}, **constraints)


def listed(value: object) -> object:
    """Return what a text lists, by commas or as JSON; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return tuple(json.loads(value))
        except ValueError as exc:
            raise ValueError(f"not a JSON list: {exc}") from None
    return tuple(word.strip() for word in value.split(",") if word.strip())


class RoutingFields(BaseSettings):
    """Whom to ask, when not to, and how many jobs at a time."""

    policy_bars_1m: Names = live(
        ("polygon", "alpaca", "finnhub", "iex"),
        description="Who is asked for bars shorter than a day, best first.",
    )
    policy_bars_1d: Names = live(
        ("polygon", "alpaca", "finnhub", "iex"), description="Who is asked for daily bars, best first."
    )
    policy_quotes_l1: Names = live(
        ("polygon", "alpaca", "iex", "finnhub"), description="Who is asked for quotes, best first."
    )
    breaker_demote_threshold: float = live(
        0.55, description="A provider whose health falls below is passed over,"
    )
    breaker_promote_threshold: float = live(0.7, description="until it has risen to this again.")
    recent_latency_cap_ms: float = live(
        2_000.0, description="A 95th percentile of answers this slow counts as no health at all."
    )
    breaker_trip_failures: int = live(
        3, ge=1, le=100, description="Failures in a row, or half of the window, after which nobody asks it"
    )
    breaker_cooldown_s: float = live(
        60.0, gt=0, le=3_600, description="for so long and up to a fifth more; then it is probed."
    )
    breaker_min_samples: int = live(
        3, ge=1, le=100, description="Fewer samples neither demote nor promote a provider."
    )
    health_window_s: float = live(60.0, gt=0, le=3_600, description="Outcomes older than this are forgotten.")
    health_weights: Numbers = live(
        (0.45, 0.25, 0.20, 0.10),
        description="Of breaker, latency, errors and completeness in the score; together 1.",
    )

    jobs_in_flight: int = Field(default=32, ge=1, le=1_000, description="Jobs of a worker at a time.")
    reconcile_s: float = live(
        300.0, ge=0, le=86_400, description="Compare what was served with others' word so often; 0: never."
    )
    reconcile_authority: Names = live(
        (), description="Providers whose word on a bar counts alone; else two must agree against one."
    )

    @field_validator(
        "policy_bars_1m",
        "policy_bars_1d",
        "policy_quotes_l1",
        "reconcile_authority",
        "health_weights",
        mode="before",
    )
    @classmethod
    def _listed(cls, value: object) -> object:
        return listed(value)


def routing_faults(s: RoutingFields) -> Iterator[str]:
    """Yield each thing that makes no sense in them, by the name of the setting."""
    yield from policy_faults("POLICY_BARS_1M", s.policy_bars_1m, "bars_1m")
    yield from policy_faults("POLICY_BARS_1D", s.policy_bars_1d, "bars_1d")
    yield from policy_faults("POLICY_QUOTES_L1", s.policy_quotes_l1, "quotes_l1")
    yield from breaker_faults(s.breaker_demote_threshold, s.breaker_promote_threshold)
    yield from positive_faults("RECENT_LATENCY_CAP_MS", s.recent_latency_cap_ms)
    yield from weight_faults("HEALTH_WEIGHTS", s.health_weights)
    for name in s.reconcile_authority:
        if name not in PROVIDERS:
            yield f"unknown provider {name!r} in RECONCILE_AUTHORITY (known: {', '.join(PROVIDERS)})"


def health_rules(settings: RoutingFields) -> HealthRules:
    """Return when a provider is well, as the settings in force say."""
    return HealthRules(
        demote=settings.breaker_demote_threshold,
        promote=settings.breaker_promote_threshold,
        latency_cap_ms=settings.recent_latency_cap_ms,
        window_s=settings.health_window_s,
        weights=settings.health_weights,
        trip_failures=settings.breaker_trip_failures,
        cooldown_s=settings.breaker_cooldown_s,
        min_samples=settings.breaker_min_samples,
    )


def policies(settings: RoutingFields) -> Mapping[Kind, tuple[ProviderName, ...]]:
    """Return whom to ask for each kind of data, best first, as the settings in force say."""
    named = {
        "bars_1m": settings.policy_bars_1m,
        "bars_1d": settings.policy_bars_1d,
        "quotes_l1": settings.policy_quotes_l1,
    }
    # the names were validated with the settings
    return cast(Mapping[Kind, tuple[ProviderName, ...]], named)
