"""Workers in one group: one without partitions stands by, and takes over when it must."""

from __future__ import annotations

import json

from domain.clock import SystemClock
from schemas.trade import Trade
from tests.acceptance.conftest import RigFactory


def test_a_worker_without_partitions_is_ready_and_takes_over(make_rig: RigFactory) -> None:
    rig = make_rig(partitions=1, session_timeout_s=4)
    now = SystemClock().now_ns()
    rig.send_trades([Trade("A", now, 10.0, 1.0, "sim")])
    rig.start("w1")
    rig.wait_ready("w1")
    rig.wait_holding("w1", 1)
    rig.start("w2")
    rig.wait_ready("w1", "w2")
    standby = next(name for name in ("w1", "w2") if not rig.status(name)["partitions"])
    active = "w2" if standby == "w1" else "w1"
    probe = json.loads(rig.get(standby, "/readyz")[1])
    assert (probe["status"], probe["partitions"]) == ("ok", 0)
    assert "stands by" in probe["detail"]
    rig.kill(active)
    rig.wait_holding(standby, 1)
    rig.send_trades([Trade("A", now + 1, 11.0, 1.0, "sim")])
    rig.wait_stored(2, 30)
    assert rig.end(standby)[0] == 0
