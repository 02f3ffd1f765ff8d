"""Background programs: found again, ended, and never taken for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.process import Command, Process, start_mark
from sandbox.readiness import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = textwrap.dedent("""
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(600)
""")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "process.json")
    yield process
    process.kill()


@pytest.fixture
def foreign() -> Iterator[subprocess.Popen[bytes]]:
    """A program that is none of ours."""
    with subprocess.Popen(SLEEP) as other:
        yield other
        other.kill()


def start(process: Process, tmp_path: Path, arguments: list[str]) -> int:
    process.start(Command(arguments, tmp_path), tmp_path / "log", tied=None)
    pid = process.pid
    assert pid is not None
    return pid


def test_another_object_finds_and_ends_it(process: Process, tmp_path: Path):
    pid = start(process, tmp_path, SLEEP)
    other = Process(tmp_path / "process.json")
    assert other.pid == pid
    other.end(signal.SIGTERM, 5)
    assert not other.alive
    assert not process.alive
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_has_a_session_of_its_own(process: Process, tmp_path: Path):
    pid = start(process, tmp_path, SLEEP)
    # Ctrl-C goes to the terminal's session
    assert os.getsid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)


def test_a_recycled_number_is_not_touched(process: Process, tmp_path: Path, foreign: subprocess.Popen[bytes]):
    mark = start_mark(os.getpid())
    assert mark != start_mark(foreign.pid)
    (tmp_path / "process.json").write_text(json.dumps({"pid": foreign.pid, "started": mark}))
    assert process.pid is None
    process.end(signal.SIGTERM, 1)
    process.kill()
    assert foreign.poll() is None


@pytest.mark.parametrize("text", ["", "12345", "{}", '{"pid": 1}', '{"pid": "x", "started": "y"}', "[]"])
def test_a_damaged_note_names_nobody(process: Process, tmp_path: Path, text: str):
    (tmp_path / "process.json").write_text(text)
    assert process.pid is None


def test_a_note_without_a_mark_names_nobody(
    process: Process, tmp_path: Path, foreign: subprocess.Popen[bytes]
):
    (tmp_path / "process.json").write_text(json.dumps({"pid": foreign.pid, "started": None}))
    assert process.pid is None


def test_a_dead_process_that_nobody_has_reaped_does_not_run():
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        assert wait_until(lambda: start_mark(child.pid) is None, 10)
        # still in the table: signals find it
        os.kill(child.pid, 0)
    finally:
        child.wait()


def test_what_was_ended_is_reaped(process: Process, tmp_path: Path):
    for _ in range(20):
        pid = start(process, tmp_path, ["/bin/sleep", "600"])
        process.kill()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_ignores_sigterm_is_killed_after_the_grace(process: Process, tmp_path: Path):
    start(process, tmp_path, [sys.executable, "-c", STUBBORN])
    assert wait_until(lambda: "ready" in (tmp_path / "log").read_text(), 10)
    begun = time.monotonic()
    process.end(signal.SIGTERM, 0.5)
    assert not process.alive
    assert 0.5 <= time.monotonic() - begun < 5


@pytest.mark.parametrize(("tied", "survives"), [("signal.SIGTERM", False), ("None", True)])
def test_a_tied_program_ends_with_its_killed_owner(tmp_path: Path, tied: str, survives: bool):
    owner = f"""
        import pathlib, signal, sys, time
        from sandbox.process import Command, Process
        folder = pathlib.Path(sys.argv[1])
        process = Process(folder / "process.json")
        process.start(Command({SLEEP!r}, folder), folder / "log", tied={tied})
        time.sleep(600)
    """
    process = Process(tmp_path / "process.json")
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(owner), str(tmp_path)]) as running:
        assert wait_until(lambda: process.alive, 10)
        running.kill()
    gone: Callable[[], bool] = lambda: not process.alive  # noqa: E731
    if survives:
        assert not wait_until(gone, 1)
        process.kill()
    assert wait_until(gone, 5)


def test_a_program_that_does_not_exist_leaves_no_note(process: Process, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        process.start(Command(["/no/such/program"], tmp_path), tmp_path / "log", tied=None)
    assert not (tmp_path / "process.json").exists()
