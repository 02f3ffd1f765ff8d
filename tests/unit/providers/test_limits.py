from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrate_limiter import InMemoryBucket, Rate
from typing_extensions import override

from providers.limits import (
    Budget,
    BudgetGate,
    Grant,
    Leases,
    LocalLeases,
    Share,
    Window,
    budget_name,
    scope_of,
)
from schemas.errors import DatabaseAway, RateLimited
from tests.unit.providers.vendor_server import StillClock

TEN = Budget("polygon", "polygon:0", (Window(10, 60.0),))
#: 60 s and the slack
MINUTE_S = 61.0

windows = st.lists(
    st.builds(Window, st.integers(2, 10_000), st.sampled_from([1.0, 5.0, 60.0, 3_600.0, 86_400.0])),
    min_size=1,
    max_size=4,
)


def moving(clock: StillClock):
    """A sleep that takes no time but moves the clock."""

    async def sleep(seconds: float) -> None:
        clock.seconds += seconds
        await asyncio.sleep(0)

    return sleep


def gate(
    share: Share, leases: Leases, clock: StillClock, *, patience_s: float = 0.0, budget: Budget = TEN
) -> BudgetGate:
    return BudgetGate(budget, share, leases, clock, patience_s=patience_s, sleep=moving(clock))


async def drain(one: BudgetGate) -> int:
    """Return how many pass without waiting."""
    passed = 0
    while True:
        try:
            await one.pass_()
        except RateLimited:
            return passed
        passed += 1


@given(windows, st.floats(0.01, 0.99))
def test_shares_never_sum_to_more_than_a_window(given_windows: list[Window], live_share: float):
    budget = Budget("alpaca", "alpaca:0", tuple(given_windows), live_share)
    shares = budget.share("live"), budget.share("backfill")
    for window in given_windows:
        # the strictest of those that are at least as long
        most = [
            min(w.permits for w in share if w.seconds >= window.seconds + budget.slack_s) for share in shares
        ]
        assert sum(most) <= window.permits
        assert min(most) >= 1
    for share in shares:
        InMemoryBucket([Rate(w.permits, round(w.seconds * 1_000)) for w in share])  # does not refuse them


@pytest.mark.parametrize(
    ("given_windows", "live", "backfill"),
    [
        ([(5, 60)], [(1, 61)], [(4, 61)]),
        ([(2, 60)], [(1, 61)], [(1, 61)]),
        ([(28, 1), (58, 60)], [(6, 1.2), (12, 60.2)], [(22, 1.2), (46, 60.2)]),
        # a minute with no more than a second makes the second say nothing
        ([(60, 1), (60, 60)], [(12, 60.2)], [(48, 60.2)]),
        # a minute that a second never lets fill
        ([(10, 1), (900, 60)], [(2, 1.2), (100, 60.2)], [(8, 1.2), (401, 60.2)]),
        ([(950, 86_400), (48, 3_600)], [(10, 3_601), (190, 86_401)], [(38, 3_601), (760, 86_401)]),
    ],
)
def test_shares_of_the_vendors_windows(given_windows: list[Any], live: list[Any], backfill: list[Any]):
    budget = Budget("iex", "iex:0", tuple(Window(*w) for w in given_windows))
    assert list(budget.share("live")) == live
    assert list(budget.share("backfill")) == backfill


@pytest.mark.parametrize(
    ("given_windows", "live_share"), [((), 0.2), (((1, 60),), 0.2), (((5, 0),), 0.2), (((5, 60),), 1.0)]
)
def test_a_budget_without_room_for_both_shares_is_refused(given_windows: tuple[Any, ...], live_share: float):
    with pytest.raises(ValueError, match="iex:0"):
        Budget("iex", "iex:0", tuple(Window(*w) for w in given_windows), live_share)


def test_a_budgets_name_is_the_keys_and_does_not_tell_it():
    name = budget_name("polygon", "k3y")
    assert name == budget_name("polygon", "k3y") != budget_name("alpaca", "k3y")
    assert name.startswith("polygon:")
    assert "k3y" not in name


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 4), st.integers(0, 6)), max_size=60))
def test_local_leases_hold_every_window(steps: list[tuple[int, int, int]]):
    clock, caps = StillClock(seconds=0.0), [(5, 1.0), (12, 10.0)]
    leases = LocalLeases(clock)
    used: list[float] = []

    async def run() -> None:
        for wait_cs, least, more in steps:
            clock.seconds += wait_cs / 100
            grant = await leases.lease("polygon:0", "live", caps, least=least, wanted=least + more)
            assert grant.permits == 0 or least <= grant.permits <= least + more
            used.extend([clock.seconds] * grant.permits)
            for _ in caps:  # each may have its own wait, told one after the other
                if grant.permits == 0:
                    clock.seconds += grant.wait_s + 0.002
                    grant = await leases.lease("polygon:0", "live", caps, least=least, wanted=least)
                    used.extend([clock.seconds] * grant.permits)
            assert grant.permits, "the wait was too short"

    asyncio.run(run())
    for permits, seconds in caps:
        assert all(
            later - earlier > seconds - 0.002 for earlier, later in zip(used, used[permits:], strict=False)
        )


async def test_live_takes_what_backfills_left_and_never_the_other_way_round():
    clock = StillClock()
    leases = LocalLeases(clock)
    backfill, live = gate("backfill", leases, clock), gate("live", leases, clock)
    assert await drain(backfill) == 8
    assert await drain(live) == 2
    clock.seconds += MINUTE_S + 0.01
    assert await drain(live) == 10
    assert await drain(backfill) == 0


async def test_live_is_refused_at_once_with_the_time_to_come_back():
    clock = StillClock()
    live = gate("live", LocalLeases(clock), clock)
    await drain(live)
    clock.seconds += 20
    with pytest.raises(RateLimited) as caught:
        await live.pass_()
    assert clock.seconds == 120
    assert caught.value.retry_after_s == pytest.approx(MINUTE_S - 20, abs=0.01)
    assert (caught.value.scope, caught.value.provider, caught.value.code) == ("minute", "polygon", "budget")


async def test_a_backfill_waits_its_patience_and_no_longer():
    clock = StillClock()
    leases = LocalLeases(clock)
    patient = gate("backfill", leases, clock, patience_s=70)
    for _ in range(9):
        await patient.pass_()
    assert clock.seconds == pytest.approx(100 + MINUTE_S, abs=0.01)
    hasty = gate("backfill", leases, clock, patience_s=30)
    await drain(hasty)
    assert clock.seconds < 100 + MINUTE_S + 30
    with pytest.raises(RateLimited):
        await hasty.pass_()


async def test_a_block_stops_every_gate_of_the_key_and_is_never_shortened():
    clock = StillClock()
    leases = LocalLeases(clock)
    told, other, live = (gate(share, leases, clock) for share in ("backfill", "backfill", "live"))
    told.block_until(clock.seconds + 30)
    told.block_until(clock.seconds + 10)
    await told.close()
    for one in (told, other, live):
        with pytest.raises(RateLimited) as caught:
            await one.pass_()
        assert caught.value.retry_after_s == pytest.approx(30)
    clock.seconds += 30
    for one in (told, other, live):
        await one.pass_()


async def test_a_block_of_the_past_blocks_nobody():
    clock = StillClock()
    one = gate("live", LocalLeases(clock), clock)
    one.block_until(clock.seconds - 1)
    await one.close()
    await one.pass_()


class SlowLeases(Leases):
    """Grants whatever is wanted, late."""

    def __init__(self, clock: StillClock, delays: Sequence[float]) -> None:
        self._clock = clock
        self._delays = list(delays)
        self.asked: list[tuple[str, int, int]] = []

    @override
    async def lease(
        self, budget: str, share: Share, windows: Sequence[tuple[int, float]], *, least: int, wanted: int
    ) -> Grant:
        self.asked.append((share, least, wanted))
        self._clock.seconds += self._delays.pop(0) if self._delays else 0
        await asyncio.sleep(0)
        return Grant(wanted, 0.0)

    @override
    async def block(self, budget: str, seconds: float) -> None:
        raise DatabaseAway("away")


async def test_a_permit_that_comes_too_late_is_not_used():
    clock = StillClock()
    leases = SlowLeases(clock, [0.6])
    await gate("backfill", leases, clock, patience_s=5).pass_()
    assert len(leases.asked) == 2
    leases = SlowLeases(clock, [0.4])
    await gate("backfill", leases, clock, patience_s=5).pass_()
    assert len(leases.asked) == 1


async def test_those_who_wait_together_are_leased_together():
    clock = StillClock()
    leases = SlowLeases(clock, [])
    budget = Budget("alpaca", "alpaca:0", (Window(200, 60.0),))
    one = gate("backfill", leases, clock, patience_s=5, budget=budget)
    await asyncio.gather(*(one.pass_() for _ in range(40)))
    # the first found nobody waiting; then at most a tenth of the share, 16 of 160
    assert [wanted for _, _, wanted in leases.asked] == [1, 16, 16, 7]


async def test_a_lease_is_not_kept_for_later():
    clock = StillClock()
    leases = SlowLeases(clock, [])
    budget = Budget("alpaca", "alpaca:0", (Window(200, 60.0),))
    one = gate("backfill", leases, clock, patience_s=5, budget=budget)
    passing = [asyncio.create_task(one.pass_()) for _ in range(10)]
    while len(leases.asked) < 2:
        await asyncio.sleep(0)
    for task in passing[5:]:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)
    clock.seconds += 1
    await one.pass_()
    assert [wanted for _, _, wanted in leases.asked] == [1, 9, 1]


async def test_who_gives_up_leaves_his_place_to_the_next():
    clock = StillClock()
    time_passes = asyncio.Event()
    one = BudgetGate(
        *(TEN, "backfill", LocalLeases(clock), clock), patience_s=1_000, sleep=lambda _: time_passes.wait()
    )
    for _ in range(8):
        await one.pass_()
    waiting = [asyncio.create_task(one.pass_()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    clock.seconds += MINUTE_S + 1
    time_passes.set()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [type(result) for result in results] == [asyncio.CancelledError, type(None), type(None)]


async def test_requests_pass_in_their_order():
    clock = StillClock()
    one = gate("backfill", LocalLeases(clock), clock, patience_s=1_000)
    order: list[tuple[int, float]] = []

    async def send(number: int) -> None:
        await one.pass_()
        order.append((number, clock.seconds))

    await asyncio.gather(*(send(n) for n in range(30)))
    assert [number for number, _ in order] == list(range(30))
    assert all(later >= earlier for (_, earlier), (_, later) in pairwise(order))
    assert clock.seconds == pytest.approx(100 + 3 * MINUTE_S, abs=0.05)


async def test_a_database_that_is_away_does_not_break_a_block():
    clock = StillClock()
    one = gate("live", SlowLeases(clock, []), clock)
    one.block_until(clock.seconds + 5)
    await one.close()
    with pytest.raises(RateLimited):
        await one.pass_()


async def test_more_than_the_budget_ever_has():
    clock = StillClock()
    leases = LocalLeases(clock)
    with pytest.raises(ValueError, match="9 at once"):
        await gate("backfill", leases, clock).pass_(9)
    # the live share alone has two: eight are among the others'
    await gate("live", leases, clock).pass_(8)
    assert await drain(gate("backfill", leases, clock)) == 0
    assert await drain(gate("live", leases, clock)) == 2


@pytest.mark.parametrize(
    ("seconds", "scope"),
    [(-1, "second"), (0.5, "second"), (30, "minute"), (61, "hour"), (3_601, "day"), (90_000, "month")],
)
def test_which_budget_is_spent(seconds: float, scope: str):
    assert scope_of(seconds) == scope
