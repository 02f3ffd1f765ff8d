"""Limits: never one request too many in any window, and what is refused is not counted."""

from __future__ import annotations

import random

import pytest

from sandbox.vendors.plans import Plans, Rate


def account(*rates: Rate):
    return Plans().add("polygon", "k", rates=rates)


def test_no_window_ever_holds_more_than_the_limit() -> None:
    draw = random.Random(3)
    limited, now, served = account(Rate(5, 60)), 1000.0, []
    for _ in range(2000):
        now += draw.expovariate(0.5)
        if not limited.take(now).refused:
            served.append(now)
    assert max(sum(1 for t in served if end - 60 < t <= end) for end in served) == 5
    assert len(served) > 5 * (now - 1000) / 60 * 0.9


def test_the_tightest_of_several_rates_counts() -> None:
    limited = account(Rate(3, 1), Rate(4, 60))
    taken = [limited.take(100.0) for _ in range(4)]
    assert [a.refused for a in taken] == [False, False, False, True]
    assert not limited.take(101.5).refused
    last = limited.take(103.0)
    assert (last.refused, last.limit) == (True, 4)
    assert last.reset == 160.0


def test_fixed_windows_begin_on_the_hour() -> None:
    limited = account(Rate(2, 3600, fixed=True))
    assert [limited.take(7199.0).refused for _ in range(3)] == [False, False, True]
    assert not limited.take(7200.0).refused


def test_an_unlimited_plan_never_refuses() -> None:
    free = account()
    assert not any(free.take(1.0).refused for _ in range(100))


@pytest.mark.parametrize("plan", ["free", "delayed", "paid"])
def test_every_plan_has_a_key_from_the_start(plan) -> None:
    plans = Plans(plan)
    found = plans.account("alpaca", plans.key("alpaca"))
    assert found is not None
    assert (found.plan, found.secret) == (plan, f"alpaca-{plan}-secret")
