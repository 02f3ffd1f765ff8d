"""A real Kafka and a real TimescaleDB on this machine, without Docker."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from sandbox import kafka_jars, timescale_tree
from sandbox.account import server_account
from sandbox.home import Home
from sandbox.local_kafka import LocalKafka
from sandbox.local_timescale import LocalTimescale
from sandbox.pair import ServerPair
from sandbox.readiness import Say


class LocalPair(ServerPair):
    """Apache Kafka from Maven and TimescaleDB from Debian's packages."""

    kind: ClassVar[str] = "local"

    def __init__(self, home: Home, say: Say) -> None:
        """Keep both in the home."""
        self._kafka = LocalKafka(home.path / self.kind / "kafka", detached=True, say=say)
        self.broker = self._kafka
        folder = home.server_folder(self.kind, "timescale", say)
        self.database = LocalTimescale(folder, detached=True, say=say)

    @property
    @override
    def bootstrap(self) -> str:
        return self._kafka.bootstrap

    @override
    def require(self) -> None:
        kafka_jars.require()
        timescale_tree.require(server_account())
