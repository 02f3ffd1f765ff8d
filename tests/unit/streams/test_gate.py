"""A worker that lacks something waits outside the group, says for what, and ends when told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from schemas.errors import BrokerAway, DatabaseAway, DatabaseRefused, TopicMismatch
from schemas.topics import TOPICS
from streams import gate as gate_module
from streams import topics
from streams.gate import Gate
from streams.settings import Settings
from streams.topics import Cluster

GOOD = Cluster("c1", 1, {spec.name: spec.partitions for spec in TOPICS})


class App:
    """Answers with what the test put into the lists, the last again and again."""

    def __init__(self) -> None:
        self.clusters: list[Cluster | Exception] = [GOOD]
        self.databases: list[Exception | None] = [None]
        self.joined: list[str] = []
        self.crashes: list[BaseException] = []
        self.settings = Settings(_env_file=None)
        self.services = SimpleNamespace(
            join=self.joined.append, database=SimpleNamespace(attempt=self._attempt)
        )

    async def describe(self, bootstrap: str) -> Cluster:
        answer = self.clusters.pop(0) if len(self.clusters) > 1 else self.clusters[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _attempt(self, fun):
        answer = self.databases.pop(0) if len(self.databases) > 1 else self.databases[0]
        if answer is not None:
            raise answer

    async def crash(self, reason: BaseException) -> None:
        self.crashes.append(reason)


@pytest.fixture
async def app(monkeypatch):
    app = App()
    monkeypatch.setattr(topics, "describe", app.describe)
    monkeypatch.setattr(gate_module, "RETRY_S", 0.01)
    return app


async def test_it_opens_when_everything_is_there(app):
    gate = Gate(app)
    await gate.on_start()
    assert (gate.phase, app.joined) == ("starting", ["c1"])


async def test_it_waits_for_the_broker_then_for_the_database(app, monkeypatch):
    app.clusters = [BrokerAway("no broker answers at x"), GOOD]
    app.databases = [DatabaseAway("connection refused"), DatabaseAway("starting up"), None]
    gate, seen = Gate(app), []

    async def note(seconds):
        seen.append((gate.phase, gate.detail))

    monkeypatch.setattr(gate, "sleep", note)
    await gate.on_start()
    assert seen == [
        ("waiting_for_broker", "no broker answers at x"),
        ("waiting_for_database", "connection refused"),
        ("waiting_for_database", "starting up"),
    ]
    assert gate.phase == "starting"


@pytest.mark.parametrize("lacking", ["broker", "database"])
async def test_it_ends_when_told_while_it_waits(app, lacking):
    if lacking == "broker":
        app.clusters = [BrokerAway("away")]
    else:
        app.databases = [DatabaseAway("away")]
    gate = Gate(app)
    starting = asyncio.ensure_future(gate.on_start())
    while not gate.phase.startswith("waiting"):
        await asyncio.sleep(0)
    await gate.stop()
    await asyncio.wait_for(starting, 5)
    assert gate.phase == f"waiting_for_{lacking}"


async def test_a_wrong_topic_ends_the_worker_at_once(app):
    app.clusters = [Cluster("c1", 1, {**GOOD.topics, "md.candles.v1": 3})]
    with pytest.raises(TopicMismatch, match=r"md\.candles\.v1: 3 partitions, 12 expected"):
        await Gate(app).on_start()
    assert [type(c) for c in app.crashes] == [TopicMismatch]
    assert app.joined == []


async def test_a_database_without_our_tables_ends_the_worker_at_once(app):
    app.databases = [DatabaseRefused("no such table")]
    with pytest.raises(DatabaseRefused):
        await Gate(app).on_start()
    assert [type(c) for c in app.crashes] == [DatabaseRefused]
