"""Other decisions of a reload: recent outcomes under the settings in force and under others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.clock import Clock
from domain.health import SECOND_NS
from domain.shadow import Difference, Policies, replay
from ops.recent_records import Recorded, last_control, recent_outcomes
from schemas.errors import ConfigInvalid
from schemas.provider import PROVIDERS, ProviderName
from streams import setting_sources
from streams.routing_fields import health_rules, policies
from streams.setting_sources import Reading
from streams.settings import InForce, Settings, candidate

#: a cool-down may be a fifth longer
JITTER = 1.2


@dataclass(frozen=True, slots=True)
class ShadowCheck:
    """What came of it."""

    in_force: str
    """The policy version that the candidate was compared with; empty: nobody has reloaded any yet."""
    changed: tuple[str, ...]
    """Live settings that the candidate changes."""
    since_ns: int
    until_ns: int
    outcomes: int
    """Of the stretch, without those before it that only warm the tables up."""
    left_out: tuple[ProviderName, ...]
    """Providers of a policy without a key here, and without an outcome: nobody can have asked them."""
    differences: tuple[Difference, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "in_force": self.in_force or None,
            "changed": list(self.changed),
            "since_ns": self.since_ns,
            "until_ns": self.until_ns,
            "outcomes": self.outcomes,
            "left_out": list(self.left_out),
            "differences": [
                {
                    "from_ns": d.from_ns,
                    "to_ns": d.to_ns,
                    "kind": d.kind,
                    "now_first": d.now_first,
                    "new_first": d.new_first,
                    "why": d.why,
                }
                for d in self.differences
            ],
        }


def shadow_check(new: Reading, clock: Clock, seconds: float) -> ShadowCheck:
    """Replay the outcomes of the last seconds.

    Before the first reload the settings in force are taken to be those of the files that workers read.

    Args:
        new: the candidate; the broker is the one that it names.
        clock: for what the last seconds are.
        seconds: how long.

    Raises:
        DependencyAway: the broker does not answer.
        CommandError: a topic is missing.
        ConfigInvalid: what is in force does not go with what the environment pins here.
    """
    return asyncio.run(_check(new, clock.now_ns(), int(seconds * SECOND_NS)))


async def _check(new: Reading, until_ns: int, span_ns: int) -> ShadowCheck:
    now, version = await _in_force(new)
    since_ns = until_ns - span_ns
    rules_now, rules_new = health_rules(now.settings), health_rules(new.settings)
    # tables that begin with nothing known are right after a window, and after a cool-down
    lead_s = max(max(r.window_s, r.cooldown_s * JITTER) for r in (rules_now, rules_new))
    recorded = await recent_outcomes(new.settings, since_ns - int(lead_s * SECOND_NS))
    left_out = _left_out(recorded, now.settings, new.settings)
    found = replay(
        recorded,
        rules_now,
        rules_new,
        _policies(now.settings, left_out),
        _policies(new.settings, left_out),
    )
    proposed = candidate(new)
    return ShadowCheck(
        version,
        tuple(sorted(n for n, value in proposed.items() if now.document.get(n) != value)),
        since_ns,
        until_ns,
        sum(at >= since_ns for _, at, _ in recorded),
        left_out,
        tuple(replace(d, from_ns=max(d.from_ns, since_ns)) for d in found if d.to_ns > since_ns),
    )


async def _in_force(new: Reading) -> tuple[InForce, str]:
    last = await last_control(new.settings)
    try:
        if last is None:
            return InForce(setting_sources.read()), ""
        number, message = last
        holder = InForce(new)
        holder.adopt(message.document, number)
    except ConfigInvalid as exc:
        raise ConfigInvalid(f"what is in force cannot be told here: {exc}") from exc
    return holder, holder.version


def _left_out(recorded: Sequence[Recorded], now: Settings, new: Settings) -> tuple[ProviderName, ...]:
    """Return whom a policy names and nobody can have asked; where no key is set at all, that is not known."""
    keyed = {
        name
        for name, config in (
            ("polygon", new.polygon()),
            ("alpaca", new.alpaca()),
            ("finnhub", new.finnhub()),
            ("iex", new.iex()),
        )
        if config
    }
    if not keyed:
        return ()
    asked = {outcome.provider for _, _, outcome in recorded}
    named = {name for s in (now, new) for policy in _policies(s, ()).values() for name in policy}
    return tuple(name for name in PROVIDERS if name in named - keyed - asked)


def _policies(settings: Settings, left_out: Sequence[ProviderName]) -> Policies:
    named = policies(settings)
    return {kind: [name for name in names if name not in left_out] for kind, names in named.items()}
