"""Settings change on every worker while records flow: all of it or nothing, one version, no secret shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.control import ControlMessage
from schemas.topics import CONTROL
from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.sampler import Sampler
from tests.market import MarketFile

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

WORKERS = ("w1", "w2", "w3")
RELOADS = 100
TOKEN = "canary-of-the-operations-token"
ROTATION = (("polygon",), ("alpaca", "iex"), ("finnhub", "polygon", "alpaca"))


def write(folder: Path, **values: Any) -> None:
    """Write the settings file, at once as an editor would."""
    new = folder / "tapeflow.toml.new"
    new.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    new.replace(folder / "tapeflow.toml")


def good(i: int) -> dict[str, Any]:
    """Settings that all say which reload they are of."""
    return {
        "policy_bars_1m": list(ROTATION[i % len(ROTATION)]),
        "breaker_demote_threshold": i / 1000,
        "breaker_promote_threshold": (i + 300) / 1000,
        "recent_latency_cap_ms": 1000 + i,
        "dlq_max_consecutive": 10_000 + i,
    }


def bad(i: int) -> dict[str, Any]:
    """One field is wrong, a different one each time; the others are those of a good reload."""
    wrong: tuple[dict[str, Any], ...] = (
        {"policy_bars_1m": ["polygon", "foo"]},
        {"breaker_promote_threshold": i / 2000},
        {"recent_latency_cap_ms": -1},
        {"dlq_max_consecutive": 0},
        {"policy_bars_1m": []},
        {"polcy_bars_1d": ["iex"]},
    )
    return good(i) | wrong[i // 3 % len(wrong)]


def control(rig: Rig) -> list[ControlMessage]:
    """What is on the control topic."""
    messages = rig.records(rig.prefix + CONTROL.name, partitions=1)
    return [ControlMessage.model_validate_json(m.value()) for m in messages]


def versions(rig: Rig, *names: str) -> set[str]:
    """The policy versions that workers say are in force."""
    return {rig.status(name)["settings"]["policy_version"] for name in names}


def test_a_hundred_reloads_under_load(make_rig: RigFactory, small: MarketFile, tmp_path: Path) -> None:
    rig = make_rig(ops_token=TOKEN)
    write(tmp_path, **good(0))
    for name in WORKERS:
        rig.start(name, command=["tests.acceptance.observing_worker"], observed=tmp_path / f"{name}.seen")
    rig.wait_ready(*WORKERS)
    rig.produce(small.path, 8_000)
    accepted = []
    with Sampler(rig) as sampler:
        wait_until(lambda: rig.stored() > small.records // 20, 60, "records flow")
        for i in range(1, RELOADS + 1):
            invalid = i % 3 == 0
            write(tmp_path, **(bad(i) if invalid else good(i)))
            code, answer = rig.post(WORKERS[i % 3], "/ops/config/reload", {"note": f"reload {i}"}, TOKEN)
            if invalid:
                assert (code, answer["ok"], answer["changed"]) == (400, False, []), answer
                assert answer["error"]
            else:
                assert (code, answer["ok"], answer["error"]) == (200, True, None), answer
                accepted.append(answer["policy_version"])
        reloaded_at = rig.stored()
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), 120)
    assert reloaded_at < rig.end_offset(), "the reloads outlasted the load"
    assert len(set(accepted)) == len(accepted) == RELOADS - RELOADS // 3
    wait_until(lambda: versions(rig, *WORKERS) == {accepted[-1]}, 10, "one version on all workers")

    seen = set()
    for name in WORKERS:
        lines = [json.loads(line) for line in (tmp_path / f"{name}.seen").read_text().splitlines()]
        assert lines, f"{name} folded nothing"
        for count, _number, *reads in lines:
            assert count == 1, "a handler reads one settings object once"
            (policy, demote, promote, cap, consecutive) = reads[0]
            i = round(cap - 1000)
            assert i % 3 or i == 0, f"reload {i} was invalid, and {name} saw it"
            expected = good(i)
            assert [policy, demote, promote, cap, consecutive] == list(expected.values())
            seen.add(i)
        numbers = [number for _, number, *_ in lines]
        assert numbers == sorted(numbers)
    assert len(seen) > 10, "handlers worked while settings changed"

    kept = "select version, digest, note, document from settings_versions order by version"
    wait_until(lambda: len(rig.query(kept)) == len(accepted), 10, "the history is written")
    history = rig.query(kept)
    assert [f"{number}-{digest[:12]}" for number, digest, *_ in history] == accepted
    assert [note for _, _, note, _ in history] == [f"reload {i}" for i in range(1, RELOADS + 1) if i % 3]
    assert history[-1][3]["recent_latency_cap_ms"] == 1000 + RELOADS

    for name in WORKERS:
        assert rig.end(name)[0] == 0, rig.log_tail()
    rig.verify(sampler)
    print(f"{len(accepted)} of {RELOADS} reloads in force, {len(seen)} of them seen by a handler")


def test_the_fleet_and_who_comes_late(make_rig: RigFactory, tmp_path: Path) -> None:
    rig = make_rig(ops_token=TOKEN)
    rig.start("w1")
    rig.start("w2", breaker_demote_threshold=0.5)  # this one's environment pins a setting
    rig.wait_ready("w1", "w2")
    write(tmp_path, breaker_demote_threshold=0.3, recent_latency_cap_ms=900, web_port=1, log_level="INFO")
    code, answer = rig.post("w1", "/ops/config/reload", None, TOKEN)
    # LOG_LEVEL and WEB_PORT come from the environment of the rig
    assert (code, answer["changed"], answer["pinned"], answer["requires_restart"]) == (
        200,
        ["breaker_demote_threshold", "recent_latency_cap_ms"],
        ["log_level"],
        [],
    )
    wait_until(lambda: versions(rig, "w1", "w2") == {answer["policy_version"]}, 10, "both have it")

    # a file that a worker cannot follow because of what its environment pins: it says so, and stays
    write(tmp_path, breaker_demote_threshold=0.3, breaker_promote_threshold=0.4, lateness_ms=1)
    code, second = rig.post("w1", "/ops/config/reload", None, TOKEN)
    assert (code, second["requires_restart"]) == (200, ["lateness_ms"])
    wait_until(lambda: rig.status("w2")["settings"]["rejected"], 10, "w2 says that it does not follow")
    assert "demote=0.5, promote=0.4" in rig.status("w2")["verdict"]["reason"]
    assert rig.status("w2")["settings"]["policy_version"] == answer["policy_version"]
    assert versions(rig, "w1") == {second["policy_version"]}

    # the same again changes nothing and publishes nothing
    code, again = rig.post("w1", "/ops/config/reload", None, TOKEN)
    assert (code, again["policy_version"], again["changed"]) == (200, second["policy_version"], [])
    assert len(control(rig)) == 2

    # junk is a dead letter, once by its id, and changes nothing
    producer = Producer({"bootstrap.servers": rig.bootstrap})
    forged = json.loads(control(rig)[-1].model_dump_json())
    forged["document"]["recent_latency_cap_ms"] = 1
    for value in (b"junk", b"", json.dumps(forged).encode()):
        producer.produce(rig.prefix + CONTROL.name, value, key=b"junk", partition=0)
    assert producer.flush(30) == 0
    wait_until(
        lambda: len({_header(m, "dlq.id") for m in rig.records(rig.dlq)}) == 3, 20, "three dead letters"
    )
    reasons = {_header(m, "dlq.error.message") for m in rig.records(rig.dlq)}
    assert any("digest: not that of the document" in reason for reason in reasons)

    # who comes late takes the fleet's version, whatever its file says
    write(tmp_path, breaker_demote_threshold=0.1)
    rig.start("w3")
    rig.wait_ready("w3")
    assert versions(rig, "w1", "w3") == {second["policy_version"]}
    for name in ("w1", "w2", "w3"):
        assert rig.end(name)[0] == 0, rig.log_tail()


def _header(message: Any, name: str) -> str:
    return next(str(value.decode()) for key, value in message.headers() if key == name)


def test_no_secret_shows(make_rig: RigFactory, tmp_path: Path) -> None:
    rig = make_rig(ops_token=TOKEN, log_level="DEBUG")
    password = rig.database_url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert len(password) > 8, "the database has a password to be kept"
    secrets = (password, TOKEN)
    write(tmp_path, recent_latency_cap_ms=900)
    rig.start("w1")
    rig.wait_ready("w1")
    shown = {}

    def show(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", "config", *arguments],
            env=rig.env | {"WEB_PORT": str(rig.ports["w1"])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        shown[f"{' '.join(arguments)}: {done.returncode}"] = done.stdout + done.stderr

    for arguments in ("show --sources", "show --json", "check", "check --json", "reload --dry-run"):
        show(*arguments.split())
    code, answer = rig.post("w1", "/ops/config/reload", {"note": "canary"}, TOKEN)
    assert code == 200
    shown["reload"] = json.dumps(answer)
    # another token in the file: the environment wins; and a wrong value beside it
    (tmp_path / "tapeflow.toml").write_text('ops_token = "another-canary"\nrecent_latency_cap_ms = -5\n')
    code, refused = rig.post("w1", "/ops/config/reload", None, TOKEN)
    assert code == 400
    shown["refused"] = json.dumps(refused)
    (tmp_path / ".env").write_text("DATABASE_URL=postgres:another-canary\n")
    for arguments in ("check", "reload"):
        show(*arguments.split())
    for path in ("/", "/metrics", "/health", "/readyz", "/ops/validate"):
        for accept in ("text/html", "application/json"):
            shown[f"{path} {accept}"] = rig.get("w1", path, accept)[1]
    shown["control topic"] = "".join(m.model_dump_json() for m in control(rig))
    note = "select document::text, note, actor from settings_versions"
    wait_until(lambda: rig.query(note), 10, "the history is written")
    shown["history"] = str(rig.query(note))
    assert rig.end("w1")[0] == 0
    shown["log"] = "".join(log.read_text() for log in rig.logs)
    assert shown["show --sources: 0"].count("**********") == 2
    assert "RECENT_LATENCY_CAP_MS" in shown["check: 3"]
    for where, text in shown.items():
        for secret in (*secrets, "another-canary"):
            assert secret not in text, f"{where} shows a secret"
    assert len(shown["log"]) > 1_000
    assert shown["history"].count("canary") == 1
