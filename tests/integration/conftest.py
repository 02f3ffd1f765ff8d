"""A migrated database of either kind, and a command line that talks to the services of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from migrations.files import OPTIONS, POSTGRES, TIMESCALE
from migrations.runner import migrate_up
from streams.settings import Settings

ROOT = Path(__file__).parents[2]

#: arguments of `tapeflow`, its stdin, more environment
Tapeflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=OPTIONS)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty migrated database, once on plain PostgreSQL and once on TimescaleDB."""
    name = "plain_database" if request.param == POSTGRES else "database"
    return migrated(request.getfixturevalue(name), request.param)


@pytest.fixture
def timescale_url(database: str) -> str:
    """An empty migrated database on TimescaleDB."""
    return migrated(database, TIMESCALE)


def migrated(url: str, option: str) -> str:
    """Migrate an empty database; return its URL."""
    migrate_up(url, option=option)
    return url


@pytest.fixture
def plain_environment(tmp_path: Path) -> dict[str, str]:
    """The environment without any setting of ours."""
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name not in ours}


@pytest.fixture
def tapeflow(plain_environment: dict[str, str], tmp_path: Path) -> Tapeflow:
    """Run the command line as a user does: in a process, in a folder without settings."""

    def run(
        *args: str, stdin: str | bytes = "", settings: dict[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*args),
            input=stdin if isinstance(stdin, str) else stdin.decode(),
            env=plain_environment | (settings or {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


def command(*args: str) -> Sequence[str]:
    """Return the command line of `tapeflow`."""
    return [sys.executable, "-m", "ops.cli", *args]
