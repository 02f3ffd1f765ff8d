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
    # a partition of trades and one of quotes: of three workers one has neither
    rig.start("w2")
    rig.start("w3")
    rig.wait_ready("w1", "w2", "w3")

    def standing_by() -> str | None:
        """Who has nothing, once the group has settled."""
        held = {name: len(rig.status(name)["partitions"]) for name in rig.workers if rig.ready(name)}
        return min(held, key=held.__getitem__) if sorted(held.values()) == [0, 1, 1] else None

    standby = wait_until(standing_by, 60, "two work and the third stands by")
    probe = json.loads(rig.get(standby, "/readyz")[1])
    assert (probe["status"], probe["partitions"]) == ("ok", 0)
    assert "stands by" in probe["detail"]
    for name in rig.workers.keys() - {standby}:
        rig.kill(name)
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
