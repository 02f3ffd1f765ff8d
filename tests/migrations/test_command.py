from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from migrations.files import POSTGRES, migration_files

pytestmark = pytest.mark.integration

NAMES = [file.id for file in migration_files(POSTGRES)]


def run(*arguments: str, url: str | None) -> subprocess.CompletedProcess[str]:
    """Run ``tapeflow migrate`` with nothing on its standard input."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    if url:
        environment["DATABASE_URL"] = url
    command = [sys.executable, "-c", "from ops.cli import main; main()", "migrate", *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_the_way_up_and_down(plain_database: str):
    before = run("status", "--json", url=plain_database)
    assert before.returncode == 6
    assert json.loads(before.stdout)["pending"] == len(NAMES)
    assert "tapeflow migrate up" in before.stderr

    first_post = next(n for n, name in enumerate(NAMES) if "_post_" in name)
    pre = run("up", "--pre", url=plain_database)
    assert (pre.returncode, pre.stdout.split()) == (0, NAMES[:first_post])
    up = run("up", url=plain_database)
    assert (up.returncode, up.stdout.split()) == (0, NAMES[first_post:])

    status = run("status", "--json", url=plain_database)
    report = json.loads(status.stdout)
    assert (status.returncode, status.stderr) == (0, "")
    assert (report["option"], report["pending"]) == (POSTGRES, 0)
    assert [row["id"] for row in report["migrations"]] == NAMES
    assert len(run("status", url=plain_database).stdout.splitlines()) == len(NAMES)

    again = run("up", "--json", url=plain_database)
    assert json.loads(again.stdout)["applied"] == []

    unasked = run("down", url=plain_database)
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    down = run("down", "--steps", "2", "--yes", "--json", url=plain_database)
    assert json.loads(down.stdout)["undone"] == NAMES[:-3:-1]
    assert run("status", url=plain_database).returncode == 6


def test_exit_codes_of_what_can_go_wrong(plain_database: str):
    assert run("up", url=None).returncode == 2
    assert run("up", url="postgresql://me@127.0.0.1:1/x").returncode == 4
    assert run("up", "--option", "timescale", url=plain_database).returncode == 3
