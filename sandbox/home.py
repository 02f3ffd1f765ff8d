"""The folder that holds everything of a local stack: ``.tapeflow`` here, or TAPEFLOW_HOME."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.account import server_account
from sandbox.readiness import Say
from schemas.errors import ConfigInvalid

VARIABLE = "TAPEFLOW_HOME"
DEFAULT = ".tapeflow"
KAFKA, DATABASE = "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"
#: for data of a server whose account cannot reach the home
SYSTEM_DATA = Path("/var/lib/tapeflow")


@dataclass(frozen=True, slots=True)
class Urls:
    """Where broker and database are."""

    kafka: str
    """``host:port``, by commas."""
    database: str
    """``postgresql://...``, with the password."""

    @property
    def lines(self) -> str:
        """As environment variables, one a line."""
        return f"{KAFKA}={self.kafka}\n{DATABASE}={self.database}\n"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Urls | None:
        """Return those of an environment, if it has both."""
        kafka, database = environment.get(KAFKA, ""), environment.get(DATABASE, "")
        return cls(kafka, database) if kafka and database else None


@dataclass(frozen=True, slots=True)
class Record:
    """What was started last."""

    kind: str
    up: bool
    """It should run; False after ``tapeflow down``."""
    urls: Urls | None = None
    """None until everything was ready once."""


class Home:
    """The folder and what is noted in it."""

    def __init__(self, path: Path) -> None:
        """Take the folder, which is made when something is started."""
        self.path = path.resolve()
        self.lock = self.path / "lock"
        self.env = self.path / "env"
        self._record = self.path / "stack.json"

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Home:
        """Return the home that an environment names, else the one in the working folder."""
        return cls(Path(environment.get(VARIABLE) or DEFAULT))

    def record(self) -> Record | None:
        """Return what was started last.

        Raises:
            ConfigInvalid: the note cannot be read.
        """
        try:
            noted = json.loads(self._record.read_text())
            urls = noted["urls"]
            return Record(noted["kind"], noted["up"], Urls(**urls) if urls else None)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as exc:
            raise ConfigInvalid(f"{self._record} cannot be read; delete it, then tapeflow down") from exc

    def note(self, record: Record | None) -> None:
        """Note what was started, and how to reach it: for us and for ``. .tapeflow/env``."""
        if record is None:
            self._record.unlink(missing_ok=True)
        else:
            write_private(self._record, json.dumps(asdict(record)))
        if record is not None and record.up and record.urls:
            write_private(self.env, record.urls.lines)
        else:
            self.env.unlink(missing_ok=True)

    def server_folder(self, kind: str, server: str, say: Say) -> Path:
        """Return the folder of a database server: in the home, unless that is closed to its account."""
        account = server_account()
        if account is None or account.may_pass(self.path):
            return self.path / kind / server
        name = hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
        elsewhere = SYSTEM_DATA / name / kind / server
        if not elsewhere.exists():
            say(
                f"the database runs as {account.name}, to whom {self.path} is closed: "
                f"its data is in {elsewhere}"
            )
        return elsewhere


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # made with mode 600, in the same folder so that the rename is one step
    handle, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(new).replace(path)
