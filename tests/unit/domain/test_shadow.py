"""Shadow evaluation: which decisions other settings would have changed, from when to when, and why."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings

from domain.health import HealthRules
from domain.shadow import Difference, Policies, Recorded, replay
from schemas.provider import ProviderName
from tests.unit.domain.outcomes import LIVES, RULES, START, Life, S, Steps, outcome

POLICIES: Policies = {"bars_1m": ("polygon", "alpaca"), "quotes_l1": ("alpaca", "polygon")}


def at(second: float, how: str = "ok", provider: ProviderName = "polygon", **more: object) -> Recorded:
    partition = 0 if provider == "polygon" else 1
    return partition, START + int(second * S), outcome(how, provider, **more)


def differences(
    outcomes: list[Recorded], rules: HealthRules = RULES, policies: Policies = POLICIES
) -> list[Difference]:
    return replay(outcomes, RULES, rules, POLICIES, policies)


#: polygon falls at 3 s, is probed from 63 to 75 s on, is back after the third probe
FALL = [at(n, "away") for n in (1, 2, 3)] + [at(76 + n, purpose="probe") for n in (0, 1, 2)] + [at(90)]


def test_the_same_settings_differ_in_nothing() -> None:
    assert differences(FALL) == []


def test_a_higher_bar_keeps_who_fell() -> None:
    found = differences(FALL, HealthRules(trip_failures=4))
    assert found == [
        Difference(
            START + 3 * S,
            START + 78 * S,
            "bars_1m",
            now_first="alpaca",
            new_first="polygon",
            why="polygon under those in force: open since 14:30:03Z: 3 failures in a row, the last: away",
        )
    ]


def test_a_lower_bar_drops_who_stayed() -> None:
    calm = [at(n, "away" if n == 2 else "ok") for n in range(1, 8)]
    found = differences(calm, HealthRules(trip_failures=1, cooldown_s=600))
    assert found == [
        Difference(
            START + 2 * S,
            START + 7 * S,
            "bars_1m",
            now_first="polygon",
            new_first="alpaca",
            why="polygon under the new settings: open since 14:30:02Z: away",
        )
    ]


def test_what_jobs_got_stands_for_the_probes_that_nobody_sent() -> None:
    rules = HealthRules(trip_failures=1, cooldown_s=10, window_s=10)
    calm = [at(n, "away" if n == 2 else "ok") for n in range(1, 40)]
    found = differences(calm, rules)
    fallen = Life(rules)
    fallen.sees("ok", "away")
    assert fallen.health.retry_at is not None
    first_probe = -(-(fallen.health.retry_at - START) // S)
    assert [(d.from_ns, d.to_ns) for d in found] == [(START + 2 * S, START + (first_probe + 2) * S)]


def test_a_shorter_cool_down_has_them_back_sooner() -> None:
    both_sick = [at(1, "auth"), at(1, "auth", "alpaca"), at(200, "rate_limited", "iex")]
    probes = [at(n, provider="alpaca", purpose="probe") for n in (20, 21, 22)]
    found = differences(both_sick + probes, HealthRules(cooldown_s=10))
    assert [(d.kind, d.now_first, d.new_first, d.from_ns, d.to_ns) for d in found] == [
        ("bars_1m", None, "alpaca", START + 22 * S, START + 200 * S),
        ("quotes_l1", None, "alpaca", START + 22 * S, START + 200 * S),
    ]
    assert found[0].why == "alpaca under those in force: open since 14:30:01Z: auth"


def test_another_policy_differs_where_both_are_fit() -> None:
    policies: Policies = {"bars_1m": ("alpaca", "polygon"), "quotes_l1": ("polygon",)}
    found = differences([at(0), at(5, "auth", "alpaca"), at(9)], policies=policies)
    assert found == [
        Difference(
            START, START + 5 * S, "bars_1m", "polygon", "alpaca", "the new policy has alpaca before polygon"
        ),
        Difference(
            START,
            START + 5 * S,
            "quotes_l1",
            "alpaca",
            "polygon",
            "alpaca under the new settings: not in the policy",
        ),
    ]


def test_they_come_in_the_order_of_their_beginning() -> None:
    policies: Policies = {"bars_1m": ("polygon", "alpaca"), "quotes_l1": ("polygon", "alpaca")}
    found = differences(FALL, HealthRules(trip_failures=4), policies)
    assert [(d.kind, d.from_ns) for d in found] == [("quotes_l1", START + S), ("bars_1m", START + 3 * S)]


def test_partitions_are_merged_by_time() -> None:
    rules = HealthRules(trip_failures=4)
    alpaca = [at(2.5, "auth", "alpaca"), at(8, "ok", "alpaca")]
    found = differences(FALL + alpaca, rules)
    # alpaca is gone before polygon falls: nobody, instead of polygon
    assert [(d.now_first, d.new_first) for d in found if d.kind == "bars_1m"] == [(None, "polygon")]
    assert differences(alpaca + FALL, rules) == found


def test_nothing_was_asked() -> None:
    assert replay([], RULES, HealthRules(trip_failures=1), POLICIES, POLICIES) == []


@settings(max_examples=25, deadline=None)
@given(LIVES)
def test_differences_are_stretches_that_do_not_overlap(
    steps: Steps,
) -> None:
    now, recorded = START, []
    for after_s, one in steps:
        now += int(after_s * S)
        if one is not None:
            recorded.append((0, now, one))
    found = differences(recorded, HealthRules(trip_failures=1, cooldown_s=30))
    assert found == differences(recorded, HealthRules(trip_failures=1, cooldown_s=30))
    for kind in POLICIES:
        mine = [d for d in found if d.kind == kind]
        assert all(d.from_ns < d.to_ns and d.now_first != d.new_first and d.why for d in mine)
        assert all(a.to_ns <= b.from_ns for a, b in pairwise(mine))
    assert differences(recorded) == []
