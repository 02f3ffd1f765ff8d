"""A server with a folder of its own: started once, found again by any process, the same after a restart."""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from sandbox.lock import locked
from sandbox.port import Ports
from sandbox.process import Command, Process
from sandbox.readiness import Say, silent, tail, wait_until
from schemas.errors import DependencyAway

START_TRIES = 3


class Server(ABC):
    """What Kafka, PostgreSQL and the embedded broker have in common.

    As a context manager it starts and, if it was the one that started it, stops the server.
    """

    title: ClassVar[str]
    """What people call it."""
    port_count: ClassVar[int] = 1
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_s: ClassVar[float] = 60.0
    stop_s: ClassVar[float] = 30.0

    def __init__(self, folder: Path | str, *, detached: bool = False, say: Say = silent) -> None:
        """Prepare to run in a folder, which is made when the server starts.

        Args:
            folder: data, log, ports and process number.
            detached: the server outlives this process; else it ends when this process does (if that
                is killed, on Linux only).
            say: is told what takes time.
        """
        self.folder = Path(folder).resolve()
        self.log = self.folder / "server.log"
        self._detached, self._say = detached, say
        self._process = Process(self.folder / "process.json")
        self._ports = Ports(self.folder / "ports", self.port_count)
        self.ours = False
        """This object has started it."""

    @property
    def running(self) -> bool:
        """Whether the process is there, and answers."""
        return self._process.alive and self._answers()

    @property
    def pid(self) -> int | None:
        """The number of its process, while it runs."""
        return self._process.pid

    @property
    def ports(self) -> list[int]:
        """Where it listens on loopback, now or when it runs again.

        Raises:
            DependencyAway: it never ran.
        """
        ports = self._ports.known()
        if len(ports) < self.port_count:
            raise DependencyAway(f"{self.title} has not been started in {self.folder}")
        return ports

    def start(self) -> Self:
        """Start it unless it runs; return when it answers.

        Raises:
            DependencyAway: a program that it needs is missing, or it did not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock", self._say, f"{self.title}: another process is starting it"):
            if self._process.alive:
                self._wait()
                return self
            self._prepare()
            for tries_left in reversed(range(START_TRIES)):
                if self._launched(last=tries_left == 0):
                    break
        self.ours = True
        return self

    def _launched(self, *, last: bool) -> bool:
        """Start the process; False if a port that was free has been taken meanwhile."""
        known = self._ports.known()
        ports = self._ports.choose()
        tied = None if self._detached else self.stop_signal
        try:
            self._process.start(self._command(ports), self.log, tied=tied)
            self._ports.keep(ports)
            self._wait()
            self._set_up()
        except BaseException as exc:  # Ctrl-C too: what was started is ended
            self._process.end(self.stop_signal, self.stop_s)
            if not known:
                self._ports.forget()
            if last or known or not isinstance(exc, DependencyAway) or self._ports.free(ports):
                raise
            return False
        return True

    def _wait(self) -> None:
        answered = wait_until(lambda: self._answers() or not self._process.alive, self.ready_s)
        if not self._process.alive:
            raise DependencyAway(
                f"{self.title} ended as it started; its log {self.log} ends:\n{tail(self.log)}"
            )
        if not answered:
            raise DependencyAway(
                f"{self.title} does not answer after {self.ready_s:.0f} s; its log {self.log} ends:\n"
                f"{tail(self.log)}"
            )

    def stop(self) -> None:
        """Stop it cleanly, whoever started it; the data stays."""
        self._process.end(self.stop_signal, self.stop_s)
        self.ours = False

    def kill(self) -> None:
        """Kill it, as a crash would; the data stays."""
        self._process.kill()

    def wipe(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, unless it ran before."""
        if self.ours:
            self.stop()

    @abstractmethod
    def _prepare(self) -> None:
        """Install what is missing, and make the data folder."""

    @abstractmethod
    def _command(self, ports: list[int]) -> Command:
        """Return how to run it on these ports."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it answers its clients."""

    def _set_up(self) -> None:  # noqa: B027 - most have nothing to do here
        """Make what a new server lacks; called each time it has started."""
