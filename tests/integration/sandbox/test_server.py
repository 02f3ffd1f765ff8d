"""The life of a server, with a small one in the place of Kafka and PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from typing_extensions import override

from sandbox.port import LOOPBACK
from sandbox.process import Command
from sandbox.readiness import accepts, wait_until
from sandbox.server import Server
from schemas.errors import DependencyAway

LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""


class Listener(Server):
    """Accepts connections, and that is all."""

    title: ClassVar[str] = "Listener"
    ready_s: ClassVar[float] = 10.0
    program = LISTEN

    @override
    def _prepare(self) -> None:
        self._say("prepare")

    @override
    def _command(self, ports: list[int]) -> Command:
        return Command([sys.executable, "-c", self.program, str(ports[0])], self.folder)

    @override
    def _answers(self) -> bool:
        return accepts(f"{LOOPBACK}:{self.ports[0]}")


class SlowListener(Listener):
    """Takes as long to prepare as one that is installed first."""

    @override
    def _prepare(self) -> None:
        time.sleep(1)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    with Listener(tmp_path / "listener") as server:
        yield server


def test_a_second_start_finds_the_first(listener: Listener):
    said: list[str] = []
    other = Listener(listener.folder, say=said.append)
    with other:
        assert other.pid == listener.pid
        assert said == []
    # it has not started it, so it does not stop it
    assert listener.running


def test_ports_stay_over_stop_and_kill(listener: Listener):
    ports = listener.ports
    for end in (listener.stop, listener.kill):
        end()
        assert not listener.running
        assert not accepts(f"{LOOPBACK}:{ports[0]}")
        assert listener.start().running
        assert listener.ports == ports


def test_wiping_stops_it_and_deletes_its_folder(listener: Listener):
    pid = listener.pid
    assert pid is not None
    listener.wipe()
    assert not listener.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_ports_of_a_server_that_never_ran_are_not_made_up(tmp_path: Path):
    with pytest.raises(DependencyAway, match="has not been started"):
        _ = Listener(tmp_path).ports


def test_what_ends_as_it_starts_is_told_with_its_log(tmp_path: Path):
    class Broken(Listener):
        program = "import sys; sys.exit('no disk left')"

    with pytest.raises(DependencyAway, match=r"(?s)Listener ended as it started; .*no disk left"):
        Broken(tmp_path).start()
    assert not Broken(tmp_path).running


def test_what_does_not_answer_is_ended(tmp_path: Path):
    class Mute(Listener):
        program = "import time; time.sleep(600)"
        ready_s: ClassVar[float] = 0.5

    server = Mute(tmp_path)
    with pytest.raises(DependencyAway, match="does not answer after"):
        server.start()
    assert server.pid is None


def test_an_interrupted_start_leaves_nothing(tmp_path: Path):
    class Interrupted(Listener):
        @override
        def _answers(self) -> bool:
            raise KeyboardInterrupt

    server = Interrupted(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert server.pid is None


def test_a_free_port_that_is_taken_in_between_is_replaced(tmp_path: Path):
    taken: list[socket.socket] = []

    class Robbed(Listener):
        @override
        def _command(self, ports: list[int]) -> Command:
            if not taken:
                taken.append(socket.create_server((LOOPBACK, ports[0])))
            return super()._command(ports)

        @override
        def _answers(self) -> bool:
            mine = self._process.alive and self.ports[0] != taken[0].getsockname()[1]
            return mine and super()._answers()

    with Robbed(tmp_path) as server:
        assert server.ports[0] != taken[0].getsockname()[1]
    taken[0].close()


def test_a_kept_port_that_is_taken_is_told(listener: Listener):
    listener.stop()
    with (
        socket.create_server((LOOPBACK, listener.ports[0])),
        pytest.raises(DependencyAway, match="is taken by another program"),
    ):
        listener.start()
    assert listener.start().running


def test_two_processes_at_once_start_one(tmp_path: Path):
    program = textwrap.dedent("""
        import pathlib, sys
        from tests.integration.sandbox.test_server import SlowListener
        server = SlowListener(pathlib.Path(sys.argv[1]), detached=True).start()
        print(server.pid, server.ports[0])
    """)
    command = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        first, second = (process.communicate(timeout=60)[0] for process in both)
        assert first
        assert first == second
    finally:
        Listener(tmp_path).stop()


def test_a_killed_detached_server_starts_anew(tmp_path: Path):
    server = Listener(tmp_path, detached=True).start()
    pid = server.pid
    assert pid is not None
    try:
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not server.running, 5)
        assert server.start().pid != pid
    finally:
        server.stop()
