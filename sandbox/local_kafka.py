"""A real Apache Kafka without Docker: one node, broker and controller in one, on loopback."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from sandbox import kafka_jars
from sandbox.java import java
from sandbox.port import LOOPBACK
from sandbox.process import Command
from sandbox.readiness import Say, accepts, silent
from sandbox.server import Server
from schemas.errors import DependencyAway

FORMAT_S = 60
LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{client},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{client}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
# topics are declared, never made by a typo
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
# of the internal topics: few partitions, or every start pays for fifty
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# the first member of a group does not wait three seconds for a second
group.initial.rebalance.delay.ms=0
# tests ask for short sessions; the floor is six seconds otherwise
group.min.session.timeout.ms=1000
# a broker that crashed may register anew after 3 seconds, not 9
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# few threads: it shares the machine with what it is there for
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
log.segment.bytes=134217728
"""


class LocalKafka(Server):
    """Apache Kafka 4.4 in a folder; needs Java 17, and Maven the first time.

    ::

        with LocalKafka(folder) as kafka:
            kafka.bootstrap  # 127.0.0.1:port
    """

    title: ClassVar[str] = "Kafka"
    port_count: ClassVar[int] = 2
    version: ClassVar[str] = kafka_jars.VERSION

    def __init__(
        self, folder: Path | str, *, heap: str = "512m", detached: bool = False, say: Say = silent
    ) -> None:
        """As the other servers; ``heap`` is the size of Java's."""
        super().__init__(folder, detached=detached, say=say)
        self._heap = heap
        self._data = self.folder / "data"
        self._settings = self.folder / "server.properties"
        self._logging = self.folder / "log4j2.properties"

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self.ports[0]}"

    @override
    def _prepare(self) -> None:
        java()
        kafka_jars.kafka_jars(self._say)
        self._logging.write_text(LOGGING)

    @override
    def _command(self, ports: list[int]) -> Command:
        client, controller = ports
        self._settings.write_text(
            SETTINGS.format(host=LOOPBACK, client=client, controller=controller, data=self._data)
        )
        if not (self._data / "meta.properties").exists():
            self._format()
        self._say("starting Kafka")
        arguments = [
            f"-Xms{self._heap}",
            f"-Xmx{self._heap}",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:+ExitOnOutOfMemoryError",
            "kafka.Kafka",
            str(self._settings),
        ]
        return Command(self._java(*arguments), self.folder)

    @override
    def _answers(self) -> bool:
        # a KRaft broker opens its client port only when it is registered and has caught up
        return accepts(f"{LOOPBACK}:{self.ports[0]}")

    def _java(self, *arguments: str) -> list[str]:
        jars = kafka_jars.kafka_jars(self._say)
        common = ["-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={self._logging}"]
        return [java(), *common, "-cp", f"{jars}/*", *arguments]

    def _format(self) -> None:
        """Give the storage its identity; what an interrupted run left of it is dropped."""
        shutil.rmtree(self._data, ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode().replace("-", "_")
        tool = self._java(
            "-Xmx128m", "kafka.tools.StorageTool", "format",
            "--ignore-formatted", "--cluster-id", cluster, "--config", str(self._settings),
        )  # fmt: skip
        done = subprocess.run(tool, capture_output=True, text=True, check=False, timeout=FORMAT_S)
        if done.returncode:
            raise DependencyAway(
                f"Kafka's storage could not be formatted: {(done.stderr or done.stdout)[-500:]}"
            )
