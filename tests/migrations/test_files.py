from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrations.files import OPTIONS, POSTGRES, ROLLBACK, SHARED, SQL, TIMESCALE, migration_files
from schemas.errors import CheckFailed, ConfigInvalid
from tests.migrations.conftest import add

ALL = sorted(SQL.glob("*/*.sql"))
STEPS = [path for path in ALL if not path.name.endswith(ROLLBACK)]


def test_numbers_run_without_hole_over_all_folders():
    numbers = sorted(int(path.name[:4]) for path in STEPS)
    assert numbers == list(range(1, len(STEPS) + 1))


def test_every_folder_is_part_of_an_option():
    assert {path.parent.name for path in ALL} == {SHARED, *OPTIONS}


def test_every_rollback_belongs_to_a_step():
    undone = {path.with_name(path.name.removesuffix(ROLLBACK) + ".sql") for path in set(ALL) - set(STEPS)}
    assert undone == set(STEPS)


@pytest.mark.parametrize("option", OPTIONS)
def test_each_step_depends_on_one_that_runs_before_it(option: str):
    files = migration_files(option)
    before: list[str] = []
    for file in files:
        named = re.findall(r"^-- depends: (.*)$", file.path.read_text(), re.MULTILINE)
        assert len(named) == (1 if before else 0), file.id
        assert set(named) <= set(before), file.id
        before.append(file.id)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_psql_and_yoyo_read_the_same(path: Path):
    text = path.read_text()
    assert text.isascii()
    assert text.endswith("\n")
    assert not re.search(r"^\\", text, re.MULTILINE), "a psql command"
    assert not re.search(r"(?im)^\s*(begin|commit|rollback)\s*;", text), "a transaction"
    assert not re.search(r"(?im)^\s*select\b", text), "returns rows"


def test_options_differ_only_by_their_own_folder():
    postgres, timescale = ({file.id for file in migration_files(option)} for option in (POSTGRES, TIMESCALE))
    shared = {path.stem for path in STEPS if path.parent.name == SHARED}
    assert postgres & timescale == shared
    assert postgres - shared
    assert timescale - shared


BAD_NAMES = ["1_pre_x", "0003_x", "0003_mid_x", "0003_pre_", "0003_pre_X", "0003_pre_a__b"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused(small: Path, name: str):
    add(small, name, "create table x (a int);", "drop table x;")
    with pytest.raises(CheckFailed, match=name):
        migration_files(POSTGRES, small)


def test_a_number_used_twice_is_refused(small: Path):
    add(small, "0002_post_other", "create table x (a int);", "drop table x;", folder=POSTGRES)
    with pytest.raises(CheckFailed, match="same number"):
        migration_files(POSTGRES, small)


def test_a_step_without_rollback_is_refused(small: Path):
    (small / "shared" / "0002_pre_second.rollback.sql").unlink()
    with pytest.raises(CheckFailed, match=r"0002_pre_second\.rollback\.sql"):
        migration_files(POSTGRES, small)


def test_an_unknown_option_is_refused(small: Path):
    with pytest.raises(ConfigInvalid, match="postgres, timescale"):
        migration_files("mysql", small)


def test_line_ends_do_not_change_the_checksum(small: Path):
    file = migration_files(POSTGRES, small)[0]
    checksum = file.checksum
    file.path.write_bytes(file.path.read_bytes().replace(b"\n", b"\r\n"))
    assert file.checksum == checksum
    file.path.write_bytes(b"create table other ();\n")
    assert file.checksum != checksum
