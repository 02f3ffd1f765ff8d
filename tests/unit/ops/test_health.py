"""The probes."""

from __future__ import annotations

import json

import pytest

from ops.health import PROBLEM, health, livez, readyz
from ops.verdict import COMPONENTS, verdict
from tests.unit.ops.snapshots import away, partition, worker


def test_livez_asks_only_whether_the_loop_turns():
    assert livez(worker(phase="waiting_for_database", database=away(), heartbeat_s=29.0)).code == 200
    answer = livez(worker(heartbeat_s=31.0))
    assert (answer.code, answer.content_type) == (503, PROBLEM)
    assert answer.body["detail"] == "the event loop has not turned for 31 s"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"phase": "waiting_for_database", "database": away()},
            "waiting for the database: connection refused",
        ),
        ({"phase": "waiting_for_broker", "broker": away(detail="")}, "waiting for the broker: not reachable"),
        ({"database": away()}, "waiting for the database: connection refused"),
        ({"broker": away()}, "waiting for the broker: connection refused"),
        ({"phase": "rebalancing"}, "rebalancing: the group is handing out its partitions"),
        (
            {"phase": "starting", "detail": "no partition is assigned yet", "partitions": ()},
            "no partition is assigned yet",
        ),
        ({"phase": "stopping"}, "stopping"),
    ],
)
def test_not_ready_says_why(changes, detail):
    answer = readyz(worker(**changes))
    assert (answer.code, answer.content_type) == (503, PROBLEM)
    assert answer.body == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": detail,
        "instance": "/readyz",
    }


def test_ready_with_and_without_partitions():
    assert readyz(worker()).body == {"status": "ok", "partitions": 6}
    standby = readyz(worker(partitions=()))
    assert standby.code == 200
    assert "more workers than partitions" in standby.body["detail"]


def test_lag_is_no_reason_to_be_not_ready():
    assert readyz(worker(partitions=(partition(moved_s=500.0),))).code == 200


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({}, 200, "ok"),
        ({"database": away(3.0)}, 200, "degraded"),
        ({"database": away(30.0)}, 503, "fail"),
        ({"partitions": (partition(committed=48_112_931),)}, 503, "fail"),
        ({"heartbeat_s": 31.0}, 503, "fail"),
    ],
)
def test_health_is_the_worst_of_its_components(changes, code, status):
    answer = health(worker(**changes))
    assert (answer.code, answer.body["status"]) == (code, status)
    components = answer.body["components"]
    assert tuple(components) == COMPONENTS
    order = ["ok", "degraded", "fail"]
    assert max((c["status"] for c in components.values()), key=order.index) == status
    assert status == verdict(worker(**changes)).level.name.lower()
    json.dumps(answer.body, allow_nan=False)


def test_health_names_the_partition():
    body = health(worker(partitions=(partition(3, end=None),))).body
    assert body["components"]["partitions"]["components"]["md.trades.v1-3"]["status"] == "unknown"
    assert body["components"]["partitions"]["components"]["md.trades.v1-3"]["lag"] is None
