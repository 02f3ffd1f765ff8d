"""The servers of a test session: started when the first test asks, in a folder of their own, and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import kafka_jars, timescale_tree
from sandbox.account import server_account, temporary_folder
from sandbox.cache import is_cached
from sandbox.embedded_postgres import EmbeddedPostgres, packaged_binaries
from sandbox.local_kafka import LocalKafka
from sandbox.local_timescale import LocalTimescale
from schemas.errors import DependencyAway
from tests import given_servers
from tests.absent import absent
from tests.given_servers import GivenKafka, GivenPostgres

if TYPE_CHECKING:
    from tests.containers import KafkaInDocker, TimescaleInDocker

    Kafka = LocalKafka | GivenKafka | KafkaInDocker
    Timescale = LocalTimescale | GivenPostgres | TimescaleInDocker


#: in an environment of its own, with the vendors' clients: `make conformance`
collect_ignore = ["conformance"]


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C, so that servers are stopped and their folders deleted.

    A shell has its background jobs ignore SIGINT, and they hand that down: programs under test must not.
    """
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Name the servers that tests will get; starts and fetches nothing."""
    given = os.environ.get(given_servers.KAFKA)
    kafka = f"at {given}" if given else LocalKafka.version
    given = os.environ.get(given_servers.TIMESCALE)
    if given:
        timescale = f"given by {given_servers.TIMESCALE}"
    elif is_cached(timescale_tree.NAME, server_account()):
        timescale = LocalTimescale.version()
    else:
        timescale = "to be fetched"
    try:
        postgres = EmbeddedPostgres.version()
    except DependencyAway:
        postgres = "missing"
    return [f"servers: Kafka {kafka}, TimescaleDB {timescale}, PostgreSQL {postgres}"]


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for data of servers, deleted after the session.

    Not pytest's own: that is closed to the account which the database servers take under root.
    """
    folder = temporary_folder("tapeflow-tests-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def kafka(server_folder: Path) -> Iterator[Kafka]:
    """A real Kafka: ``bootstrap``, ``stop()``, ``kill()``, ``start()``."""
    if given := os.environ.get(given_servers.KAFKA):
        yield GivenKafka(given)
        return
    with ExitStack() as stack:
        server: LocalKafka | KafkaInDocker
        try:
            kafka_jars.require()
            server = LocalKafka(server_folder / "kafka", say=print)
            stack.callback(server.stop)
        except DependencyAway as missing:
            boxed = _containers(missing).KafkaInDocker()
            stack.callback(boxed.remove)
            server = boxed
        server.start()
        yield server


@pytest.fixture(scope="session")
def timescale(server_folder: Path) -> Iterator[Timescale]:
    """A real TimescaleDB: ``url``, ``create_database(name)``, ``stop()``, ``kill()``, ``start()``."""
    if given := os.environ.get(given_servers.TIMESCALE):
        lent = GivenPostgres(given)
        yield lent
        lent.leave()
        return
    with ExitStack() as stack:
        server: LocalTimescale | TimescaleInDocker
        try:
            timescale_tree.require(server_account())
            server = LocalTimescale(server_folder / "timescale", fsync=False, say=print)
            stack.callback(server.stop)
        except DependencyAway as missing:
            boxed = _containers(missing).TimescaleInDocker()
            stack.callback(boxed.remove)
            server = boxed
        server.start()
        yield server


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A plain PostgreSQL, of the same shape as ``timescale``."""
    try:
        packaged_binaries()
    except DependencyAway as missing:
        absent(missing)
    with EmbeddedPostgres(server_folder / "postgres", fsync=False, say=print) as server:
        yield server


@pytest.fixture
def database(timescale: Timescale) -> Iterator[str]:
    """URL of an empty database on TimescaleDB."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield timescale.create_database(name)
    timescale.drop_database(name)


@pytest.fixture
def plain_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty database on plain PostgreSQL."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that makes the topics of a test its own."""
    return f"t{uuid.uuid4().hex[:10]}."


def _containers(missing: DependencyAway):
    """Return tests/containers.py if a Docker engine answers."""
    from tests import containers  # noqa: PLC0415 - imports Docker's client

    if not containers.engine_answers():
        absent(missing)
    return containers
