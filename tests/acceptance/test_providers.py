"""The provider table of real workers: one keeps it, all know it, and who follows forgets nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from domain.clock import SystemClock
from schemas.outcome import ProviderOutcome
from schemas.provider import PROVIDERS, ProviderName
from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import Rig, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

WORKERS = ("w1", "w2", "w3")
#: keys, headers and values that no producer of ours makes
HOSTILE: list[tuple[bytes, bytes | None, Any]] = [
    (b"polygon", None, None),
    (b"polygon", b"", [("a", b"1"), ("a", None)]),
    (b"\xff\x00", b"\xff{", [("", b"")]),
    (b"polygon", b'{"provider": "polygon"}', None),
]


def outcome(n: int, how: str, provider: ProviderName = "polygon") -> ProviderOutcome:
    ts = SystemClock().now_ns()
    return ProviderOutcome.model_validate(
        {"provider": provider, "id": f"o{n}", "ts": ts, "outcome": how, "latency_ms": 50.0}
    )


def report(rig: Rig, *outcomes: ProviderOutcome) -> None:
    producer = Producer({"bootstrap.servers": rig.bootstrap, "partitioner": "murmur2", "linger.ms": 0})
    topic = f"{rig.prefix}md.provider-outcomes.v1"
    for one in outcomes:
        producer.produce(topic, one.model_dump_json(), key=one.provider)
    assert producer.flush(10) == 0


def send_hostile(rig: Rig) -> None:
    producer = Producer({"bootstrap.servers": rig.bootstrap})
    for key, value, headers in HOSTILE:
        producer.produce(f"{rig.prefix}md.provider-outcomes.v1", value, key=key, headers=headers, partition=1)
    assert producer.flush(10) == 0


def stats(rig: Rig, name: str) -> dict[str, Any]:
    code, body = rig.get(name, "/stats/providers")
    assert code == 200, body
    return dict(json.loads(body))


def row(rig: Rig, name: str, provider: str = "polygon") -> dict[str, Any]:
    return next(r for r in stats(rig, name)["providers"] if r["name"] == provider)


def history(rig: Rig, name: str, provider: str = "polygon") -> list[dict[str, Any]]:
    code, body = rig.get(name, f"/providers/{provider}/health-history")
    assert code == 200, body
    return list(json.loads(body)["history"])


def keeper(rig: Rig, *names: str) -> str:
    """The one worker that keeps polygon."""

    def found() -> list[str]:
        return [name for name in names if row(rig, name)["kept_here"]]

    wait_until(lambda: len(found()) == 1, 30, "one worker keeps polygon")
    return found()[0]


def test_three_workers_one_table(make_rig: RigFactory) -> None:
    rig = make_rig(session_timeout_s=6)
    for name in WORKERS:
        rig.start(name)
    rig.wait_ready(*WORKERS)
    report(rig, *(outcome(n, "ok", PROVIDERS[n % 4]) for n in range(20)))
    wait_until(lambda: all(row(rig, name)["state"] for name in WORKERS), 30, "polygon is known")
    first = keeper(rig, *WORKERS)

    report(rig, *(outcome(n, "away") for n in range(3)))
    wait_until(lambda: not row(rig, first)["fit"], 5, "polygon is left alone")
    wait_until(lambda: not any(row(rig, name)["fit"] for name in WORKERS), 2, "by everybody within 2 s")

    send_hostile(rig)
    wait_until(lambda: len(rig.records(rig.dlq)) == len(HOSTILE), 15, "poison is a dead letter each")
    assert {dict(m.headers())["dlq.stage"] for m in rig.records(rig.dlq)} == {b"health"}

    before = history(rig, first)
    assert [point["score"] for point in before][-1] < 1
    rig.kill(first)
    left = [name for name in WORKERS if name != first]
    report(rig, *(outcome(n, "ok") for n in range(5)))
    second = keeper(rig, *left)
    wait_until(lambda: row(rig, second)["kept_by"] == second, 30, "the successor says so")
    wait_until(lambda: row(rig, second)["window"]["samples"] == 13, 15, "5 + 3 + 5 outcomes, each once")
    assert row(rig, second)["state"] == "open"
    assert history(rig, second)[: len(before)] == before, "the history survives"

    def agreed() -> bool:
        tables = [stats(rig, name) for name in left]
        known = [[(r["name"], r["score"], r["state"], r["since"]) for r in t["providers"]] for t in tables]
        versions = {t["table_version"] for t in tables}
        return len(versions) == 1 and known[0] == known[1]

    wait_until(agreed, 10, "the same table at the same version")
    code, body = rig.get(second, "/metrics")
    assert code == 200
    assert 'circuit_state{provider="polygon"} 2.0' in body
    code, body = rig.get(second, "/")
    assert "3 failures in a row" in body
    assert rig.get(second, "/providers/kraken/health-history")[0] == 404
    for name in left:
        assert rig.end(name)[0] == 0
