"""A broker and a database that are started and stopped together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from sandbox.home import Urls
from sandbox.postgres_server import PostgresServer
from sandbox.readiness import accepts, database_answers
from sandbox.server import Server

#: name of a topic -> its partitions
Topics = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two, and whether it answers."""

    name: str
    up: bool
    where: str


class Pair(ABC):
    """One way to have a broker and a database."""

    kind: ClassVar[str]
    takes_topics: ClassVar[bool] = True
    """Topics are created through the broker; else the broker is started with them."""

    @abstractmethod
    def require(self) -> None:
        """Check that this way is open, without starting or fetching anything.

        Raises:
            DependencyAway: in one sentence, what is missing.
        """

    @abstractmethod
    def start(self, topics: Topics) -> Urls:
        """Start what does not run; return when both answer.

        Raises:
            DependencyAway: one of them did not start.
        """

    @abstractmethod
    def undo(self) -> None:
        """Stop what ``start`` has started in this process, and nothing that ran before."""

    @abstractmethod
    def stop(self, *, wipe: bool) -> list[str]:
        """Stop what runs, and delete the data if that is asked; return the names of what was stopped."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """Say whether the two answer."""


class ServerPair(Pair):
    """Two servers on this machine."""

    broker: Server
    database: PostgresServer

    @property
    @abstractmethod
    def bootstrap(self) -> str:
        """Where the broker is."""

    @property
    def servers(self) -> tuple[Server, PostgresServer]:
        """Broker and database."""
        return self.broker, self.database

    @override
    def start(self, topics: Topics) -> Urls:
        for server in self.servers:
            server.start()
        return Urls(self.bootstrap, self.database.url)

    @override
    def undo(self) -> None:
        for server in self.servers:
            if server.ours:
                server.stop()

    @override
    def stop(self, *, wipe: bool) -> list[str]:
        stopped = [server.title for server in self.servers if server.pid is not None]
        for server in self.servers:
            if wipe:
                server.wipe()
            else:
                server.stop()
        return stopped

    @override
    def parts(self) -> list[Part]:
        return [
            Part(server.title, server.running, f"process {server.pid or 'none'}, log {server.log}")
            for server in self.servers
        ]


class GivenPair(Pair):
    """What the environment names; nothing is started or stopped."""

    kind: ClassVar[str] = "environment"

    def __init__(self, urls: Urls) -> None:
        """Take the two URLs."""
        self._urls = urls

    @override
    def require(self) -> None:
        return

    @override
    def start(self, topics: Topics) -> Urls:
        return self._urls

    @override
    def undo(self) -> None:
        return

    @override
    def stop(self, *, wipe: bool) -> list[str]:
        return []

    @override
    def parts(self) -> list[Part]:
        servers = self._urls.kafka.split(",")
        return [
            Part("broker", any(map(accepts, servers)), "KAFKA_BOOTSTRAP_SERVERS"),
            Part("database", database_answers(self._urls.database), "DATABASE_URL"),
        ]
