"""Outcomes as tests need them, and a provider that lives through them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from domain.health import HealthRules
from domain.provider_state import fold, fresh, tick
from schemas.outcome import Asked, ProviderOutcome
from schemas.provider import ProviderName
from schemas.provider_health import ProviderHealth

S = 1_000_000_000
#: 2026-01-05, 14:30:00 UTC
START = 1_767_623_400 * S
RULES = HealthRules()
AAPL = Asked(symbol="AAPL", interval="1m")


def outcome(how: str = "ok", provider: ProviderName = "polygon", **more: Any) -> ProviderOutcome:
    fields = {"provider": provider, "id": "o1", "ts": START, "outcome": how, "latency_ms": 40.0} | more
    return ProviderOutcome.model_validate(fields)


class Life:
    """One provider: time passes, outcomes come. Every record that it had is kept."""

    def __init__(self, rules: HealthRules = RULES) -> None:
        self.rules = rules
        self.now = START
        self.records: list[ProviderHealth] = [fresh("polygon", START)]

    @property
    def health(self) -> ProviderHealth:
        return self.records[-1]

    def sees(self, *hows: str, after_s: float = 1.0, **more: Any) -> ProviderHealth:
        """Take outcomes, so many seconds after each other."""
        for how in hows:
            self.takes(outcome(how, **more), after_s)
        return self.health

    def takes(self, one: ProviderOutcome, after_s: float = 1.0) -> ProviderHealth:
        self.now += int(after_s * S)
        known = self.health
        self.records.append(fold(known, one, self.rules, now_ns=self.now, position=known.position + 1))
        return self.health

    def waits(self, seconds: float) -> ProviderHealth:
        self.now += int(seconds * S)
        self.records.append(tick(self.health, self.rules, self.now))
        return self.health

    def sleeps(self) -> ProviderHealth:
        """Wait until the first probe may go."""
        assert self.health.retry_at is not None
        return self.waits((self.health.retry_at - self.now) / S)

    def timeline(self) -> list[tuple[str, str]]:
        """Return every state with every reason that it had, one after the other."""
        told: list[tuple[str, str]] = []
        for record in self.records:
            if not told or told[-1] != (record.state, record.reason):
                told.append((record.state, record.reason))
        return told


ANY_OUTCOME = st.builds(
    outcome,
    st.sampled_from(
        ["ok", "ok", "ok", "away", "away", "empty", "malformed", "auth", "rate_limited", "not_found"]
    ),
    latency_ms=st.floats(0, 5_000),
    incompleteness=st.none() | st.floats(0, 1),
    purpose=st.sampled_from(["job", "job", "probe", "probe", "judgement"]),
    asked=st.none() | st.just(AAPL),
    detail=st.sampled_from(["", "503 Service\nUnavailable", "x" * 512]),
)
Steps = list[tuple[float, ProviderOutcome | None]]
"""Seconds, and what comes after them; None: nothing but the owner's tick."""


def _scene(pause_s: float, *outcomes: ProviderOutcome | None) -> Steps:
    return [(pause_s, one) for one in outcomes]


_ANY_STEP = st.tuples(st.sampled_from([0.0, 0.5, 3.0, 20.0, 75.0]), st.none() | ANY_OUTCOME)
_PROBE = outcome("ok", purpose="probe")
#: by chance alone nobody falls, waits and is probed often enough to come back
_SCENES = st.one_of(
    _ANY_STEP.map(lambda step: [step]),
    _ANY_STEP.map(lambda step: [step]),
    st.just(_scene(1.0, *[outcome("away", asked=AAPL)] * 3)),
    st.just([*_scene(73.0, None), *_scene(1.0, _PROBE, _PROBE, _PROBE)]),
    st.just(_scene(73.0, outcome("away", purpose="probe"))),
    st.just(_scene(1.0, *[outcome()] * 4)),
)
LIVES = st.lists(_SCENES, min_size=4, max_size=20).map(lambda scenes: [step for s in scenes for step in s])


def live(steps: Steps, rules: HealthRules = RULES) -> Life:
    life = Life(rules)
    for after_s, one in steps:
        if one is None:
            life.waits(after_s)
        else:
            life.takes(one, after_s)
    return life
