"""A vendor falls ill amid jobs: who is asked meanwhile, when it is asked again, are all rows right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise

import pytest

from sandbox.market.market import Market
from sandbox.vendors.server import Emulator
from schemas.outcome import ProviderOutcome
from tests.acceptance.jobs import Jobs, Wanted, bars_job, mixed
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.vendors import emulated, market, settings

pytestmark = pytest.mark.acceptance

#: 120 is what operators asked for (half of it the cool-down by default): VENDOR_OUTAGE_S=120 pytest ...
OUTAGE_S = float(os.environ.get("VENDOR_OUTAGE_S", "20"))
COOLDOWN_S = OUTAGE_S / 2
ALPACA_S = 0.3
AT_ONCE = 8
SYMBOLS = 10


@pytest.fixture(scope="module")
def truth() -> Market:
    return market()


@pytest.fixture
def emulator(truth: Market) -> Iterator[Emulator]:
    with emulated(truth) as running:
        yield running


def outcomes(rig: Rig, provider: str) -> list[ProviderOutcome]:
    """Every outcome of a provider, in the order of its partition."""
    found = [
        ProviderOutcome.model_validate_json(m.value())
        for m in rig.records(f"{rig.prefix}md.provider-outcomes.v1", 3)
    ]
    return [outcome for outcome in found if outcome.provider == provider]


def test_500_jobs_while_the_first_provider_is_sick(
    make_rig: Callable[..., Rig], emulator: Emulator, truth: Market
) -> None:
    rig = make_rig(
        **settings(emulator),
        breaker_cooldown_s=COOLDOWN_S,
        health_window_s=COOLDOWN_S,
        jobs_in_flight=AT_ONCE,
    )
    jobs = Jobs(rig, truth)
    wanted = list(mixed(truth.symbols[:SYMBOLS], 500, seed=20261125))
    last = [w for w in wanted if w.interval != "1d"][-10:]
    paced = [w for w in wanted if w not in last]
    emulator.faults.add("polygon", "*", "5xx", nth=100, times=1_000_000)
    emulator.faults.add("alpaca", "*", "slow", times=1_000_000, seconds=ALPACA_S)
    rig.start("one")
    rig.wait_ready("one")
    began, sick_at, well = time.monotonic(), 0.0, False
    pace_s = 1.9 * OUTAGE_S / len(paced)
    for n, job in enumerate(paced):
        while time.monotonic() < began + n * pace_s:
            time.sleep(0.005)
        jobs.send(bars_job(job))
        if not sick_at and emulator.log.statuses("polygon")[503]:
            sick_at = time.monotonic()
        if sick_at and not well and time.monotonic() > sick_at + OUTAGE_S:
            emulator.faults.clear()
            emulator.faults.add("alpaca", "*", "slow", times=1_000_000, seconds=ALPACA_S)
            well = True
    assert sick_at, "polygon never fell ill"
    if not well:
        wait_until(lambda: time.monotonic() > sick_at + OUTAGE_S, 2 * OUTAGE_S, "the outage is over")
        emulator.faults.clear()
    jobs.wait_done(len(paced), 60)

    def states() -> list[tuple[str, int]]:
        records = [(h.state, ms) for ms, h in jobs.health() if h.provider == "polygon"]
        return [(state, next(iter(group))[1]) for state, group in groupby(records, key=lambda r: r[0])]

    wait_until(
        lambda: states()[-1][0] == "closed" and len(states()) > 3, 3 * COOLDOWN_S + 20, "polygon is back"
    )
    jobs.send(*(bars_job(job) for job in last))
    jobs.wait_done(len(wanted), 60)

    assert not (found := jobs.differences(wanted)), "\n".join(found[:20])
    timeline = states()
    print(f"polygon: {[(state, round(ms / 1000 - timeline[0][1] / 1000, 1)) for state, ms in timeline]}")
    _check_timeline(timeline)
    _check_requests(rig, emulator, timeline)
    _check_last(jobs, last)
    assert rig.end("one")[0] == 0
    assert not rig.records(rig.dlq)


def _check_timeline(timeline: list[tuple[str, int]]) -> None:
    """From closed to open, by probes that fail back to open, and by those that do not to closed."""
    names = [state for state, _ in timeline]
    assert names[0] == "closed"
    assert names[1] == "open"
    assert names[-2:] == ["half_open", "closed"]
    assert all(
        pair in {("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
        for pair in pairwise(names[1:])
    )
    for (state, began), (_, ended) in pairwise(timeline):
        if state == "open":
            assert ended - began >= COOLDOWN_S * 1_000 - 50, f"open for {ended - began} ms only"


def _check_requests(rig: Rig, emulator: Emulator, timeline: list[tuple[str, int]]) -> None:
    """After the demotion hardly anybody asks, but the probes."""
    demoted, promoted = timeline[1][1] * 1_000_000, timeline[-1][1] * 1_000_000
    asked = [a for a in emulator.log.of("polygon") if demoted < a.at_ns < promoted]
    probes = [o for o in outcomes(rig, "polygon") if o.purpose == "probe"]
    # one that meets a 503 is repeated once by the client
    of_probes = sum(2 if o.outcome == "away" else 1 for o in probes)
    print(f"after the demotion: {len(asked)} requests, {len(probes)} probes took {of_probes} of them")
    assert len(asked) - of_probes <= 5
    assert probes


def _check_last(jobs: Jobs, last: list[Wanted]) -> None:
    """Back in the first place: nobody else is asked first."""
    ids = {job.job_id for job in last}
    first: dict[str, str] = {}
    for attempt in jobs.attempts():
        if attempt["job_id"] in ids:
            first.setdefault(attempt["job_id"], attempt["provider"])
    assert set(first.values()) == {"polygon"}
    assert first.keys() == ids


def test_nobody_passes_iex_off_as_the_tape(
    make_rig: Callable[..., Rig], emulator: Emulator, truth: Market
) -> None:
    rig = make_rig(**settings(emulator), breaker_cooldown_s=3, health_window_s=3)
    jobs = Jobs(rig, truth)
    minutes = [
        w for w in mixed(truth.symbols[:SYMBOLS], 90, seed=3) if (w.interval, w.adjustment) == ("1m", "raw")
    ]
    strict, others = minutes[:15], minutes[15:]
    # of an hour in which IEX traded nothing of a symbol there is nothing lesser to take: it would wait
    lenient = [w for w in others if all(jobs.truth("iex", symbol, w) for symbol in w.symbols)][:15]
    for vendor in ("polygon", "alpaca", "finnhub"):
        emulator.faults.add(vendor, "*", "5xx", times=1_000_000)
    rig.start("one")
    rig.wait_ready("one")
    jobs.send(*(bars_job(w) for w in strict))
    wait_until(lambda: jobs.states().get("waiting") == len(strict), 60, "all jobs wait")
    assert rig.query("select count(*) from candles_intraday") == [(0,)]
    (why,) = {row[0] for row in rig.query("select why from waiting_requests limit 1")}
    assert "polygon" in why

    jobs.send(*(bars_job(w, allow_downgrade=True) for w in lenient))
    jobs.wait_done(len(lenient), 60)
    kinds = rig.query("select distinct coverage, is_final, provider from candles_intraday")
    assert kinds == [("iex", False, "iex")]
    assert jobs.states() == {"waiting": len(strict), "done": len(lenient)}

    emulator.faults.clear()
    jobs.wait_done(len(strict + lenient), 90)
    wait_until(lambda: rig.query("select count(*) from waiting_requests") == [(0,)], 60, "all is healed")
    assert not (found := jobs.differences(strict + lenient)), "\n".join(found[:20])
    kinds = rig.query("select distinct coverage, is_final from candles_intraday")
    assert kinds == [("consolidated", True)]
    assert not rig.records(rig.dlq)
