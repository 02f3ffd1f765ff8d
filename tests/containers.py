"""Kafka and TimescaleDB in containers, for a machine that has a Docker engine and no Java or no apt."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]
import psycopg
import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer
from typing_extensions import override

from sandbox.port import free_port
from sandbox.readiness import wait_until
from tests.given_servers import GivenPostgres

COMPOSE = Path(__file__).parents[1] / "docker-compose.yml"
UNIX = "http+unix://"
ENGINE_S = 3
READY_S = 90
PASSWORD = "test"


def engine_answers() -> bool:
    """Whether an engine is there: a ``docker`` command alone proves nothing."""
    address = docker.utils.parse_host(os.environ.get("DOCKER_HOST"))
    if address.startswith(UNIX):
        # the client leaves the socket open when nobody answers at it
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(address.removeprefix(UNIX))
            except OSError:
                return False
    try:
        # a version that is named is not negotiated, which the constructor would do
        client = docker.from_env(version=docker.constants.DEFAULT_DOCKER_API_VERSION, timeout=ENGINE_S)
    except DockerException:
        return False
    try:
        # without a version in its path, which engines newer or older than the client refuse
        return bool(client.api.get(f"{client.api.base_url}/_ping").ok)
    except (DockerException, OSError):  # requests' errors are OSErrors
        return False
    finally:
        client.close()


class _InDocker:
    """A container of the compose file's image, whose port stays when it is stopped and started again."""

    def __init__(self, service: str, inside: int) -> None:
        services = yaml.safe_load(COMPOSE.read_text())["services"]
        self._container = DockerContainer(services[service]["image"])
        self.address = f"127.0.0.1:{free_port()}"
        host, _, port = self.address.partition(":")
        # the type of ports knows no address to bind to; the engine takes one
        ports: dict[str, Any] = self._container.ports
        ports[str(inside)] = (host, int(port))
        self._made = False

    def start(self) -> None:
        """Make the container, or start the stopped one again."""
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        if not wait_until(self._answers, READY_S):
            pytest.fail(f"{self._container.image} does not answer after {READY_S} s")

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def remove(self) -> None:
        """Delete the container and its data."""
        self._container.stop()

    def _answers(self) -> bool:
        """Ask the server: its port is the engine's, which accepts before the server does."""
        raise NotImplementedError


class KafkaInDocker(_InDocker):
    """Kafka; ``testcontainers.kafka`` fits another vendor's image alone."""

    def __init__(self) -> None:
        super().__init__("kafka", 9092)
        self._container.with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9094",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_LISTENERS="PLAINTEXT://:9092,BROKER://localhost:9093,CONTROLLER://localhost:9094",
            KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://{self.address},BROKER://localhost:9093",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_INTER_BROKER_LISTENER_NAME="BROKER",
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS="4",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS="1000",
            KAFKA_BROKER_SESSION_TIMEOUT_MS="3000",
            KAFKA_BROKER_HEARTBEAT_INTERVAL_MS="500",
        )

    @property
    def bootstrap(self) -> str:
        return self.address

    @override
    def _answers(self) -> bool:
        try:
            AdminClient({"bootstrap.servers": self.address}).list_topics(timeout=ENGINE_S)
        except KafkaException:
            return False
        return True


class TimescaleInDocker(_InDocker):
    """TimescaleDB."""

    def __init__(self) -> None:
        super().__init__("timescale", 5432)
        self._container.with_envs(POSTGRES_PASSWORD=PASSWORD, POSTGRES_DB="market")
        self.url = f"postgresql://postgres:{PASSWORD}@{self.address}/market"
        self._server = GivenPostgres(self.url)
        self.database_url = self._server.database_url
        self.create_database = self._server.create_database
        self.drop_database = self._server.drop_database

    @override
    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True
