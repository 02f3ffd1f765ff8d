"""A server for each of the two options, and a folder of migrations that a test may change."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrations.files import OPTIONS, POSTGRES, SQL


@dataclass(frozen=True)
class Target:
    """An option and the server that it is meant for."""

    option: str
    server: Any

    def create(self) -> str:
        """Make an empty database and return its URL."""
        url = self.server.create_database(f"migrations_{uuid.uuid4().hex[:12]}")
        assert isinstance(url, str)
        return url


@pytest.fixture(params=OPTIONS)
def target(request: pytest.FixtureRequest) -> Target:
    name = "postgres" if request.param == POSTGRES else "timescale"
    return Target(request.param, request.getfixturevalue(name))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The shipped files, to be changed at will."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two small steps of the option postgres."""
    folder = tmp_path / "small"
    add(folder, "0001_pre_first", "create table first (a int);", "drop table first;")
    add(folder, "0002_pre_second", "create table second (a int);", "drop table second;")
    return folder


def add(root: Path, name: str, up: str, down: str, folder: str = "shared") -> None:
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.sql").write_text(up + "\n")
    (place / f"{name}.rollback.sql").write_text(down + "\n")
