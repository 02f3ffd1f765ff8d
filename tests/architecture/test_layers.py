"""The checks of `make check` bite: each is given a copy of the house with one fault planted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PACKAGES: list[str] = SETTINGS["importlinter"]["root_packages"]

DOWN = "Imports go down, floor by floor; neighbours do not know each other"
PURE = "domain and schemas know no framework and no driver"
FAUST = "Only floors 3 and 4 know Faust"
AGENTS = "No agent imports another agent"

#: file, line put at its end, contract that must break
PLANTS = [
    ("domain/candles.py", "import streams.status", DOWN),
    ("sinks/candles.py", "from streams import topics", DOWN),
    ("schemas/base.py", "from domain import clock", DOWN),
    ("streams/ledger.py", "import ops.amounts", DOWN),
    ("domain/clock.py", "import telemetry.logs", DOWN),
    ("agents/trades.py", "import ops.view", DOWN),
    ("schemas/base.py", "import psycopg", PURE),
    ("domain/candles.py", "import aiokafka", PURE),
    ("sinks/candles.py", "import faust", FAUST),
    ("telemetry/logs.py", "from mode import Service", FAUST),
    ("agents/trades.py", "import agents.second", AGENTS),
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the packages and of what configures the checks."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(house: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools on the copy, as `make check` does on the house."""
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def lint_imports(house: Path) -> tuple[int, list[str], str]:
    """Return exit code, names of broken contracts, and all that was said."""
    done = run(house, "lint-imports", "--no-logo", "--no-cache")
    # a long name is broken over lines
    said = " ".join(done.stdout.split())
    contracts = [contract["name"] for contract in SETTINGS["importlinter"]["contracts"]]
    return done.returncode, [name for name in contracts if f"{name} BROKEN" in said], done.stdout


def add(path: Path, line: str) -> None:
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")


def test_every_contract_is_tried_and_every_package_is_under_one():
    names = [contract["name"] for contract in SETTINGS["importlinter"]["contracts"]]
    assert sorted(names) == sorted({contract for *_, contract in PLANTS})
    shipped = SETTINGS["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(PACKAGES) == sorted(shipped)
    (layers,) = [c["layers"] for c in SETTINGS["importlinter"]["contracts"] if c["type"] == "layers"]
    assert sorted(p.strip() for floor in layers for p in floor.split("|")) == sorted(PACKAGES)


def test_the_house_as_it_is_keeps_its_contracts(house):
    code, broken, said = lint_imports(house)
    assert (code, broken) == (0, []), said


@pytest.mark.parametrize(
    ("file", "line", "contract"), PLANTS, ids=[f"{file}: {line}" for file, line, _ in PLANTS]
)
def test_an_import_that_goes_up_or_aside_is_found(house, file, line, contract):
    add(house / "agents" / "second.py", "")
    add(house / file, line)
    code, broken, said = lint_imports(house)
    assert code == 1
    assert broken == [contract], said
    importer, imported = file.removesuffix(".py").replace("/", "."), line.split()[1]
    assert f"{importer} -> {imported}" in said
    assert "(l." in said, "the line is named"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("SECONDS: int = 'ten'", "Incompatible types in assignment"),
        ("def untyped(a): return a", "Function is missing a type annotation"),
        ("from domain.clock import Clock\nx = Clock().yesterday()", "has no attribute"),
    ],
)
def test_a_wrong_type_is_found(tmp_path, line, complaint):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "domain", tmp_path / "domain", ignore=shutil.ignore_patterns("__pycache__"))
    clean = run(tmp_path, "mypy", "domain/clock.py")
    assert clean.returncode == 0, clean.stdout
    add(tmp_path / "domain" / "clock.py", line)
    done = run(tmp_path, "mypy", "domain/clock.py")
    assert done.returncode == 1
    assert complaint in done.stdout


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import time\n\nNOW = time.time()", "TID251"),
        ("try:\n    pass\nexcept Exception:\n    pass", "BLE001"),
        ("# x = 1", "ERA001"),
        ("print('hello')", "T201"),
        ("from . import candles", "TID252"),
    ],
)
def test_what_the_house_forbids_is_found(tmp_path, line, rule):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "domain", tmp_path / "domain", ignore=shutil.ignore_patterns("__pycache__"))
    add(tmp_path / "domain" / "clock.py", line)
    done = run(tmp_path, "ruff", "check", "--no-cache", "--output-format", "concise", "domain/clock.py")
    assert done.returncode == 1
    assert rule in done.stdout


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `tapeflow schema export` on a folder of its own."""
    return lambda *args: run(tmp_path, "tapeflow", "schema", "export", "--out", "reference", *args)


def test_a_document_that_drifted_is_found_and_mended(export, tmp_path):
    assert export("--check").returncode == 6, "nothing is there"
    assert export().returncode == 0
    assert export("--check").returncode == 0
    page = tmp_path / "reference" / "topics.md"
    written = page.read_text()
    page.write_text(written.replace("md.candles.v1", "md.candles.v2"))
    (tmp_path / "reference" / "schemas" / "Candle.json").unlink()
    drifted = export("--check")
    assert drifted.returncode == 6
    assert sorted(drifted.stdout.split()) == ["reference/schemas/Candle.json", "reference/topics.md"]
    assert drifted.stderr == "tapeflow: 2 documents have drifted: `make docs` writes them anew\n"
    assert page.read_text() != written, "a check writes nothing"
    mended = export()
    assert sorted(mended.stdout.split()) == ["reference/schemas/Candle.json", "reference/topics.md"]
    assert page.read_text() == written
