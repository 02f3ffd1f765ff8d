"""Workers and their group: who stands by takes over; Faust's own command starts one, too."""

from __future__ import annotations

import json

from domain.clock import SystemClock
from schemas.trade import Trade
from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import wait_until


def test_a_worker_without_partitions_is_ready_and_takes_over(make_rig: RigFactory) -> None:
    rig = make_rig(partitions=1, session_timeout_s=4)
    now = SystemClock().now_ns()
    rig.send_trades([Trade("A", now, 10.0, 1.0, "sim")])
    rig.start("w1")
    rig.wait_ready("w1")
    rig.wait_holding("w1", 1)
    rig.start("w2")
    rig.wait_ready("w1", "w2")

    def dealt() -> dict[int, str] | None:
        """Who holds so many partitions, once the group has settled: one of them all, the other none."""
        held = {len(rig.status(name)["partitions"]): name for name in ("w1", "w2") if rig.ready(name)}
        return held if held.keys() == {0, 1} else None

    holders = wait_until(dealt, 60, "one works and the other stands by")
    standby, active = holders[0], holders[1]
    probe = json.loads(rig.get(standby, "/readyz")[1])
    assert (probe["status"], probe["partitions"]) == ("ok", 0)
    assert "stands by" in probe["detail"]
    rig.kill(active)
    rig.wait_holding(standby, 1)
    rig.send_trades([Trade("A", now + 1, 11.0, 1.0, "sim")])
    rig.wait_stored(2, 30)
    assert rig.end(standby)[0] == 0


def test_fausts_own_command_runs_a_worker(make_rig: RigFactory) -> None:
    rig = make_rig()
    rig.start("w1", command=("faust", "-A", "streams.app", "worker"))
    rig.wait_ready("w1")
    now = SystemClock().now_ns()
    rig.send_trades(Trade(f"S{n}", now + n, 10.0, 1.0, "sim") for n in range(100))
    rig.wait_stored(100, 30)
    assert rig.status("w1")["totals"]["stored"] == 100
    assert rig.end("w1")[0] == 0
