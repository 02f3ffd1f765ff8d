"""``tapeflow up``, ``status`` and ``down`` as they are typed, with real servers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from migrations.runner import migration_status
from sandbox.account import temporary_folder
from sandbox.process import start_mark
from sandbox.readiness import wait_until
from schemas.topics import TOPICS
from streams import topics

pytestmark = pytest.mark.integration

KINDS = ["local", "embedded"]
TAPEFLOW = [sys.executable, "-m", "ops.cli"]
OURS = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "TOPIC_PREFIX", "TOPIC_PARTITIONS", "TAPEFLOW_HOME")


class Shell:
    """Runs tapeflow with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        self.env = {**inherited, "TAPEFLOW_HOME": str(home)}

    def begin(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*TAPEFLOW, *arguments],
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Run to the end, check the exit code, return stdout and stderr."""
        process = self.begin(*arguments, env=env)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, f"{arguments} ended with {process.returncode}:\n{out}{err}"
        return out, err

    def up(self, kind: str) -> dict[str, Any]:
        return dict(json.loads(self.run("up", "--kind", kind, "--json")[0]))

    def status(self, code: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json", code=code)[0]))

    def pids(self) -> dict[str, int]:
        """Server -> process, as noted by the stack."""
        notes = self.home.glob("*/*/process.json")
        return {note.parent.name: json.loads(note.read_text())["pid"] for note in notes}

    def living(self) -> list[str]:
        """Command lines of every living process that has to do with this home."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.home) in line and start_mark(int(entry.name)) is not None:
                found.append(line)
        return found


@pytest.fixture
def shell() -> Iterator[Shell]:
    folder = temporary_folder("tapeflow-stack-")
    shell = Shell(folder / "home")
    yield shell
    shell.run("down", "--wipe")
    left = shell.living()
    shutil.rmtree(folder)
    assert left == []


@pytest.mark.parametrize("kind", KINDS)
def test_up_status_down(shell: Shell, kind: str):
    assert "tapeflow up starts it" in shell.run("status", code=4)[1]
    out, _ = shell.run("up", "--kind", kind)
    urls = dict(line.split("=", 1) for line in out.splitlines())
    assert list(urls) == ["KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"]

    # ready: the schema is there, and the topics
    assert not any(state.pending for state in migration_status(urls["DATABASE_URL"]))
    found = asyncio.run(topics.describe(urls["KAFKA_BOOTSTRAP_SERVERS"])).topics
    assert {spec.name: found[spec.name] for spec in TOPICS} == {spec.name: spec.partitions for spec in TOPICS}

    # once more: the same, and soon, also where the first was exported
    pids, begun = shell.pids(), time.monotonic()
    again = shell.run("up", env=urls)
    assert again[0] == out
    assert time.monotonic() - begun < 10
    assert shell.pids() == pids
    assert shell.status()["up"]

    shell.run("down")
    assert shell.living() == []
    report = shell.status(code=4)
    assert (report["kind"], report["up"]) == (None, False)
    assert shell.run("down") == ("", "nothing was up\n")


def test_data_and_addresses_outlive_down(shell: Shell):
    first = shell.up("local")
    with psycopg.connect(first["database_url"]) as connection:
        connection.execute("create table kept as select 42 as answer")
    shell.run("down")
    second = shell.up("local")
    assert second == first
    with psycopg.connect(second["database_url"]) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)

    shell.run("down", "--wipe")
    assert not list(shell.home.glob("*/*"))


@pytest.mark.parametrize(
    ("kind", "victims"), [("local", ["kafka", "timescale"]), ("embedded", ["broker", "postgres"])]
)
def test_a_killed_server_is_told_and_comes_back(shell: Shell, kind: str, victims: list[str]):
    first = shell.up(kind)
    for victim in victims:
        before = shell.pids()
        os.kill(before[victim], signal.SIGKILL)
        assert wait_until(lambda pid=before[victim]: start_mark(pid) is None, 10)  # type: ignore[misc]

        report = shell.status(code=4)
        assert [part["up"] for part in report["parts"]].count(False) == 1
        assert "should run and do not answer" in shell.run("status", code=4)[1]

        second = shell.up("auto")
        after = shell.pids()
        assert after.pop(victim) != before.pop(victim)
        assert after == before, "the other server was touched"
        assert second["database_url"] == first["database_url"]
        if kind == "local":  # the embedded broker has a new port each time
            assert second == first
        assert shell.status()["up"]


def test_two_at_once_start_one_stack(shell: Shell):
    both = [shell.begin("up", "--kind", "embedded") for _ in range(2)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert [code for *_, code in ended] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    # one broker, one postmaster; its children name no folder
    assert len(shell.living()) == 2


def test_of_two_kinds_at_once_one_is_refused(shell: Shell):
    both = [shell.begin("up", "--kind", kind) for kind in KINDS]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert sorted(code for *_, code in ended) == [0, 3], ended
    assert shell.status()["up"]


def test_a_foreign_process_is_never_stopped(shell: Shell):
    shell.up("embedded")
    note = shell.home / "embedded" / "broker" / "process.json"
    ours = json.loads(note.read_text())
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as foreign:
        # as after a reboot: the number is somebody else's now
        note.write_text(json.dumps({**ours, "pid": foreign.pid}))
        assert not shell.status(code=4)["up"]
        shell.run("down")
        assert foreign.poll() is None
        foreign.kill()
    # the broker that the note should have named
    os.kill(ours["pid"], signal.SIGTERM)
    assert wait_until(lambda: shell.living() == [], 10)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("reached", ["local/kafka", "embedded/postgres"])
def test_an_interrupted_up_leaves_nothing_running(
    shell: Shell, signum: signal.Signals, code: int, reached: str
):
    kind, _, _ = reached.partition("/")
    process = shell.begin("up", "--kind", kind)
    assert wait_until((shell.home / reached / "process.json").exists, 60)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out == ""
    assert shell.living() == []
    assert shell.status(code=4)["kind"] is None


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("local", "there is no java: install openjdk-17-jre-headless"),
        ("compose", "there is no docker command"),
    ],
)
def test_what_is_missing_is_told_in_one_sentence(shell: Shell, tmp_path: Path, kind: str, sentence: str):
    missing = {"PATH": str(tmp_path), "JAVA_HOME": "", "XDG_CACHE_HOME": str(tmp_path)}
    out, err = shell.run("up", "--kind", kind, code=4, env=missing)
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_auto_on_a_machine_that_has_only_python(shell: Shell, tmp_path: Path):
    _, err = shell.run("up", env={"PATH": str(tmp_path), "JAVA_HOME": ""})
    assert "not compose: " in err
    assert "not local: Kafka needs Java 17" in err
    assert shell.status()["kind"] == "embedded"


def test_urls_that_lead_nowhere_are_told_without_the_password(shell: Shell):
    nowhere = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "DATABASE_URL": "postgresql://postgres:hunter2@127.0.0.1:1/market",
    }
    out, err = shell.run("up", code=4, env=nowhere)
    assert out == ""
    assert "127.0.0.1:1" in err
    assert "hunter2" not in err
    status = json.loads(shell.run("status", "--json", code=4, env=nowhere)[0])
    assert status["kind"] == "environment"
    assert not any(part["up"] for part in status["parts"])
