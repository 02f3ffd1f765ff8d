"""A lock between processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from sandbox.lock import locked
from sandbox.readiness import wait_until

HOLDER = textwrap.dedent("""
    import pathlib, sys
    from sandbox.lock import locked
    with locked(pathlib.Path(sys.argv[1]), print, "waiting"):
        print("held", flush=True)
        sys.stdin.read()
""")


def holder(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-c", HOLDER, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_second_waits_and_says_so(tmp_path: Path):
    path = tmp_path / "sub" / "lock"
    with holder(path) as first:
        assert line(first) == "held"
        with holder(path) as second:
            assert line(second) == "waiting"
            first.communicate()
            assert line(second) == "held"
            second.communicate()


def test_a_killed_holder_lets_go(tmp_path: Path):
    path = tmp_path / "lock"
    with holder(path) as first:
        assert line(first) == "held"
        first.kill()
        first.communicate()
    said: list[str] = []
    with locked(path, said.append, "waiting"):
        assert said == []


def test_a_child_of_the_holder_does_not_inherit_it(tmp_path: Path):
    path = tmp_path / "lock"
    with locked(path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with holder(path) as other:
            assert wait_until(lambda: line(other) == "held", 5)
            other.communicate()
    finally:
        child.kill()
        child.wait()
