"""A vendor that answers 200 and says nothing, or nothing true: it is passed over, and the log says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from domain.clock import SystemClock
from providers.sessions import session_of
from sandbox.market.calendar import instant_ns, sessions
from sandbox.market.market import Market
from sandbox.vendors.server import Emulator
from tests.acceptance.jobs import HOUR_NS, Jobs, Wanted, bars_job, mixed
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.vendors import emulated, market, settings

pytestmark = pytest.mark.acceptance

FOREVER = 1_000_000


@pytest.fixture(scope="module")
def truth() -> Market:
    return market()


@pytest.fixture
def emulator(truth: Market) -> Iterator[Emulator]:
    with emulated(truth) as running:
        yield running


def nothing(body: Any) -> Any:
    """Answer well formed, and without a row."""
    return {**body, "results": [], "resultsCount": 0, "queryCount": 0} if "results" in body else body


def dearer(body: Any) -> Any:
    """Answer with every price a hundredth too high."""
    for bar in body.get("results", []):
        for name in ("o", "h", "l", "c", "vw"):
            bar[name] = round(bar[name] * 1.01, 4)
    return body


def polygon(rig: Rig, jobs: Jobs, state: str, timeout: float) -> str:
    """Wait for a state of polygon in the provider table and return the reason."""

    def reason() -> str:
        records = [h for _, h in jobs.health() if h.provider == "polygon"]
        return records[-1].reason if records and records[-1].state == state else ""

    return str(wait_until(reason, timeout, f"polygon is {state}\n{rig.log_tail()}"))


def test_a_vendor_that_says_nothing(make_rig: Callable[..., Rig], emulator: Emulator, truth: Market) -> None:
    rig = make_rig(**settings(emulator), breaker_cooldown_s=60, log_format="console")
    jobs = Jobs(rig, truth)
    emulator.faults.add("polygon", "*", "mutate", times=FOREVER, change=nothing)
    wanted = [w for w in jobs.busy(mixed(truth.symbols[:10], 120, seed=4)) if w.interval == "1m"][:30]
    rig.start("one")
    rig.wait_ready("one")
    jobs.send(*(bars_job(w) for w in wanted))
    jobs.wait_done(len(wanted), 60)
    assert not (found := jobs.differences(wanted)), "\n".join(found[:20])
    served = {row[0] for row in rig.query("select distinct provider from candles_intraday")}
    assert served <= {"alpaca", "finnhub"}
    reason = polygon(rig, jobs, "open", 20)
    assert "of the rows missing or wrong" in reason
    assert reason in rig.log_tail(200)
    health = next(h for _, h in jobs.health() if h.provider == "polygon" and h.state == "open")
    assert health.terms.completeness < 0.5


def recent() -> tuple[Market, int, list[date]]:
    """A market up to yesterday: what is compared was served of the last sessions before now."""
    today = datetime.fromtimestamp(session_of(SystemClock().now_ns()) * 86_400, UTC).date()
    until = today - timedelta(days=1)
    days = [s.day for s in sessions(today - timedelta(days=14), until)]
    now_ns = instant_ns(until, time(23))
    return Market(seed=11, symbols=4, first=days[0], last=days[-1], keep=200), now_ns, days


def test_a_vendor_that_says_what_is_not_true(make_rig: Callable[..., Rig]) -> None:
    truth, now_ns, days = recent()
    with emulated(truth, now_ns=now_ns) as emulator:
        rig = make_rig(
            **settings(emulator), breaker_cooldown_s=5, health_window_s=5, reconcile_s=1, log_format="console"
        )
        jobs = Jobs(rig, truth)
        emulator.faults.add("polygon", "*", "mutate", times=FOREVER, change=dearer)
        start = instant_ns(days[-1], time(10))
        wanted = [Wanted(f"j-{s}", (s,), "1m", (start, start + HOUR_NS), "raw") for s in truth.symbols]
        rig.start("one")
        rig.wait_ready("one")
        jobs.send(*(bars_job(w) for w in wanted))
        jobs.wait_done(len(wanted), 60)
        reason = polygon(rig, jobs, "open", 30)
        assert "proved wrong or missing by" in reason
        assert reason[:100] in rig.log_tail(200)
        code, metrics = rig.get("one", "/metrics", "text/plain")
        assert code == 200
        assert 'bar_disagreement_ratio{field="close",provider="polygon"} 1.0' in metrics
        # probes that are answered wrongly do not bring it back
        assert "of the rows missing or wrong" in _reopened(rig, jobs)
        emulator.faults.clear()
        polygon(rig, jobs, "closed", 40)
        # what was asked then is asked again, and the later word of the same vendor counts
        again = [Wanted(f"again-{w.job_id}", w.symbols, w.interval, w.window, w.adjustment) for w in wanted]
        jobs.send(*(bars_job(w) for w in again))
        jobs.wait_done(len(wanted + again), 60)
        assert not (found := jobs.differences(wanted)), "\n".join(found[:20])


def _reopened(rig: Rig, jobs: Jobs) -> str:
    def reason() -> str:
        states = [h for _, h in jobs.health() if h.provider == "polygon"]
        halves = [n for n, h in enumerate(states) if h.state == "half_open"]
        after = [h for h in states[halves[0] :] if h.state == "open"] if halves else []
        return after[0].reason if after else ""

    return str(wait_until(reason, 40, f"a probe fails\n{rig.log_tail()}"))
