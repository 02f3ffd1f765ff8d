"""Kafka and TimescaleDB of docker-compose.yml, where a Docker engine answers."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from sandbox.home import Home, Urls, write_private
from sandbox.pair import Pair, Part, Topics
from sandbox.port import LOOPBACK, Ports
from sandbox.readiness import Say, tail_of
from schemas.errors import DependencyAway

FILE = Path(__file__).parents[1] / "docker-compose.yml"
SERVICES = ("kafka", "timescale")
#: an engine that is there answers at once
ANSWER_S = 3.0
START_S = 300
STOP_S = 60


class ComposePair(Pair):
    """The two services, in a project of their own: what runs of the whole file is not touched."""

    kind: ClassVar[str] = "compose"

    def __init__(self, home: Home, say: Say) -> None:
        """Keep ports and password in the home, data in volumes of Docker."""
        self._folder = home.path / self.kind
        self._ports = Ports(self._folder / "ports", 2)
        self._password = self._folder / "password"
        self._project = "tapeflow-" + hashlib.sha256(str(home.path).encode()).hexdigest()[:8]
        self._say = say
        self._started: list[str] = []

    @override
    def require(self) -> None:
        if not FILE.exists():
            raise DependencyAway(f"{FILE} is missing: Docker Compose needs a checkout of tapeflow")
        if shutil.which("docker") is None:
            raise DependencyAway("there is no docker command")
        for question in (["version", "--format", "{{.Server.Version}}"], ["compose", "version"]):
            try:
                # a docker command may be there without an engine, and an engine may hang
                asked = subprocess.run(
                    ["docker", *question],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ANSWER_S,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise DependencyAway(f"no Docker engine answers within {ANSWER_S:.0f} s") from None
            if asked.returncode:
                raise DependencyAway(
                    "the docker command has no compose plugin: install docker-compose-plugin"
                    if question[0] == "compose"
                    else "no Docker engine answers: start Docker"
                )

    @override
    def start(self, topics: Topics) -> Urls:
        self._folder.mkdir(parents=True, exist_ok=True)
        running = self._running()
        if set(running) != set(SERVICES):
            if not self._password.exists():
                write_private(self._password, secrets.token_hex(16))
            self._ports.keep(self._ports.known() if running else self._ports.choose())
            self._started = [name for name in SERVICES if name not in running]
            self._say("starting Kafka and TimescaleDB in Docker")
            self._compose("up", "--detach", "--wait", *SERVICES, seconds=START_S)
        kafka, database = self._ports.known()
        return Urls(
            f"{LOOPBACK}:{kafka}",
            f"postgresql://postgres:{self._password.read_text()}@{LOOPBACK}:{database}/market",
        )

    @override
    def undo(self) -> None:
        if self._started:
            self._compose("stop", *self._started, seconds=STOP_S)

    @override
    def stop(self, *, wipe: bool) -> list[str]:
        if not self._folder.exists():
            return []
        stopped = self._running()
        self._compose("down", *(["--volumes"] if wipe else []), seconds=STOP_S)
        if wipe:
            shutil.rmtree(self._folder)
        return stopped

    @override
    def parts(self) -> list[Part]:
        running = self._running()
        return [Part(name, name in running, f"docker compose -p {self._project}") for name in SERVICES]

    def _running(self) -> list[str]:
        """Return the services that run and are healthy as far as they know."""
        return self._compose("ps", "--services", "--status", "running", seconds=STOP_S).split()

    def _compose(self, *arguments: str, seconds: float) -> str:
        kafka, database = self._ports.known() or (0, 0)
        password = self._password.read_text() if self._password.exists() else ""
        environment = {
            **os.environ,
            "KAFKA_PORT": str(kafka),
            "DATABASE_PORT": str(database),
            "POSTGRES_PASSWORD": password or "unset",
            # required by the file as a whole; neither of our two services sees it
            "OPS_TOKEN": "unused",
        }
        command = ["docker", "compose", "--project-name", self._project, "--file", str(FILE), *arguments]
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=False, timeout=seconds,
            )  # fmt: skip
        except (FileNotFoundError, subprocess.TimeoutExpired) as exc:
            raise DependencyAway(f"docker compose {arguments[0]} did not end: {exc}") from exc
        if done.returncode:
            raise DependencyAway(f"docker compose {arguments[0]} failed: {tail_of(done.stderr)}")
        return done.stdout
