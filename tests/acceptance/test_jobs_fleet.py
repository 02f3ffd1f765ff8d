"""Jobs on several workers: one table for all, and nothing lost by kill -9."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.market.market import Market
from sandbox.vendors.server import Emulator
from schemas.outcome import ProviderOutcome
from tests.acceptance.jobs import Jobs, bars_job, mixed
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.vendors import emulated, market, settings

pytestmark = pytest.mark.acceptance

FLEET = ("one", "two", "three")
SYMBOLS = 10


@pytest.fixture(scope="module")
def truth() -> Market:
    return market()


@pytest.fixture
def emulator(truth: Market) -> Iterator[Emulator]:
    with emulated(truth) as running:
        yield running


def test_three_workers_route_around_a_dead_vendor(
    make_rig: Callable[..., Rig], emulator: Emulator, truth: Market
) -> None:
    rig = make_rig(**settings(emulator), jobs_in_flight=4)
    jobs = Jobs(rig, truth)
    wanted = jobs.busy(mixed(truth.symbols[:SYMBOLS], 500, seed=5))[:300]
    assert len(wanted) == 300
    for name in FLEET:
        rig.start(name)
    rig.wait_ready(*FLEET)
    dies = 100
    for n, job in enumerate(wanted):
        if n == dies:
            emulator.faults.add("polygon", "*", "reset", times=1_000_000)
        jobs.send(bars_job(job))
        time.sleep(0.02)
    jobs.wait_done(len(wanted), 90)

    demoted_ms = next(ms for ms, h in jobs.health() if h.provider == "polygon" and h.state == "open")
    found = [
        ProviderOutcome.model_validate_json(m.value())
        for m in rig.records(f"{rig.prefix}md.provider-outcomes.v1", 3)
    ]
    asked = [o for o in found if o.purpose == "job"]
    late = [o for o in asked if o.provider == "polygon" and o.ts > (demoted_ms + 2_000) * 1_000_000]
    assert not late, f"asked a dead vendor {(late[0].ts / 1e6 - demoted_ms) / 1e3:.1f} s after its demotion"
    around = {o.worker for o in asked if o.provider != "polygon" and o.ts > demoted_ms * 1_000_000}
    assert around == set(FLEET)
    _check_same_table(rig)
    assert not (wrong := jobs.differences(wanted)), "\n".join(wrong[:20])


def _check_same_table(rig: Rig) -> None:
    def same() -> bool:
        tables = [_table(rig, name) for name in FLEET]
        if len({table["version"] for table in tables}) > 1:
            return False  # one is a record behind
        assert tables[0] == tables[1] == tables[2]
        return bool(tables[0]["version"])

    wait_until(same, 20, "three workers at the same version of the table")


def _table(rig: Rig, name: str) -> dict[str, Any]:
    code, body = rig.get(name, "/stats/providers")
    assert code == 200, body
    stats = json.loads(body)
    return {"version": stats["table_version"], "table": {p["name"]: _of_table(p) for p in stats["providers"]}}


def _of_table(provider: dict[str, Any]) -> dict[str, Any]:
    return {
        name: provider[name]
        for name in ("state", "score", "terms", "since", "transitions", "window", "kept_by")
    }


def test_kill_9_amid_1000_jobs(make_rig: Callable[..., Rig], emulator: Emulator, truth: Market) -> None:
    rng = random.Random(9)
    rig = make_rig(**settings(emulator), session_timeout_s=3)
    jobs = Jobs(rig, truth)
    wanted = list(mixed(truth.symbols[:SYMBOLS], 1_000, seed=9))
    jobs.send(*(bars_job(w) for w in wanted))
    for name in ("one", "two"):
        rig.start(name)
    for victim, after in (("one", rng.randrange(100, 300)), ("two", rng.randrange(400, 600))):
        jobs.wait_done(after, 90)
        rig.kill(victim)
        rig.start(victim)
    jobs.wait_done(len(wanted), 120)
    assert jobs.states() == {"done": len(wanted)}
    assert not (wrong := jobs.differences(wanted)), "\n".join(wrong[:20])
    assert not rig.records(rig.dlq)
    (repeats,) = rig.query("select count(*) - count(distinct job_id) from job_attempts")[0]
    print(f"1,000 jobs, two kills: {repeats} further attempts")
