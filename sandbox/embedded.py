"""A broker and a database from Python packages, for a machine that has nothing else."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from sandbox.embedded_postgres import EmbeddedPostgres, packaged_binaries
from sandbox.home import Home, Urls
from sandbox.pair import ServerPair, Topics
from sandbox.process import Command
from sandbox.readiness import Say, accepts, silent
from sandbox.server import Server
from schemas.errors import DependencyAway


class EmbeddedBroker(Server):
    """sandbox/mock_broker.py in a process of its own: nothing on disk, and a new port each time."""

    title: ClassVar[str] = "embedded broker"
    port_count: ClassVar[int] = 0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_s: ClassVar[float] = 20.0

    def __init__(self, folder: Path | str, *, detached: bool = False, say: Say = silent) -> None:
        """As the other servers; set ``topics`` before it starts."""
        super().__init__(folder, detached=detached, say=say)
        self.topics: Topics = {}
        self._port_file = self.folder / "address"

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients.

        Raises:
            DependencyAway: it does not run.
        """
        try:
            return self._port_file.read_text().strip()
        except FileNotFoundError:
            raise DependencyAway(f"the embedded broker does not run in {self.folder}") from None

    @override
    def _prepare(self) -> None:
        # of one that was killed
        self._port_file.unlink(missing_ok=True)

    @override
    def _command(self, ports: list[int]) -> Command:
        self._say("starting the embedded broker: it keeps nothing on disk")
        topics = ",".join(f"{name}:{partitions}" for name, partitions in self.topics.items())
        module = [sys.executable, "-m", "sandbox.mock_broker"]
        return Command([*module, "--port-file", self._port_file, "--topics", topics], self.folder)

    @override
    def _answers(self) -> bool:
        try:
            return accepts(self.bootstrap)
        except DependencyAway:
            return False


class EmbeddedPair(ServerPair):
    """librdkafka's mock cluster and a packaged PostgreSQL."""

    kind: ClassVar[str] = "embedded"
    takes_topics: ClassVar[bool] = False

    def __init__(self, home: Home, say: Say) -> None:
        """Keep both in the home."""
        self._mock = EmbeddedBroker(home.path / self.kind / "broker", detached=True, say=say)
        self.broker = self._mock
        folder = home.server_folder(self.kind, "postgres", say)
        self.database = EmbeddedPostgres(folder, detached=True, say=say)

    @property
    @override
    def bootstrap(self) -> str:
        return self._mock.bootstrap

    @override
    def require(self) -> None:
        if importlib.util.find_spec("confluent_kafka") is None:
            raise DependencyAway(
                "the embedded broker is missing: pip install confluent-kafka (tapeflow[sandbox])"
            )
        packaged_binaries()

    @override
    def start(self, topics: Topics) -> Urls:
        self._mock.topics = topics
        return super().start(topics)
