"""Programs are built whole or not at all, once, where the server's account can reach them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import cache
from sandbox.account import Account, temporary_folder
from sandbox.cache import cache_folder, cached, is_cached
from sandbox.readiness import silent
from schemas.errors import DependencyAway

STRANGER = Account("stranger", 54_321, 54_321)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tapeflow"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = temporary_folder("tapeflow-unit-")
    yield folder
    shutil.rmtree(folder)


def build(folder: Path) -> None:
    (folder / "program").write_text("whole")


def test_it_is_built_once(root: Path):
    assert not is_cached("thing-1")
    place = cached("thing-1", build, silent)
    assert place == root / "thing-1"
    assert is_cached("thing-1")

    def fail(_: Path) -> None:
        raise AssertionError("built twice")

    assert (cached("thing-1", fail, silent) / "program").read_text() == "whole"
    # the account of a server may enter
    assert place.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [KeyboardInterrupt, DependencyAway])
def test_an_interrupted_build_leaves_nothing(root: Path, error: type[BaseException]):
    def interrupted(folder: Path) -> None:
        build(folder)
        raise error

    with pytest.raises(error):
        cached("thing-1", interrupted, silent)
    assert not is_cached("thing-1")
    assert [path.name for path in root.iterdir()] == ["thing-1.lock"]


def test_what_a_killed_build_left_is_removed_by_the_next(root: Path):
    left = root / ".thing-1.abcdef"
    left.mkdir(parents=True)
    other = root / ".thing-2.abcdef"
    other.mkdir()
    cached("thing-1", build, silent)
    assert not left.exists()
    assert other.exists()


def test_two_processes_build_once(root: Path):
    program = textwrap.dedent("""
        import sys, time
        from sandbox.cache import cached

        def build(folder):
            print("built", flush=True)
            time.sleep(0.5)
            (folder / "program").write_text("whole")

        print((cached("thing-1", build, lambda line: None) / "program").read_text())
    """)
    both = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = "".join(process.communicate(timeout=30)[0] for process in both)
    assert sorted(said.split()) == ["built", "whole", "whole"]


def test_a_closed_cache_is_left_for_the_systems(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(cache, "SYSTEM_CACHE", open_folder)
    assert cache_folder(STRANGER) == open_folder / "tapeflow"
    assert list(tmp_path.iterdir()) == []
    assert cache_folder() == tmp_path / "tapeflow"


def test_a_cache_that_is_open_is_used_for_the_account(open_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_folder))
    assert cache_folder(STRANGER) == open_folder / "tapeflow"


def test_no_cache_that_the_account_can_reach_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(cache, "SYSTEM_CACHE", tmp_path / "system")
    with pytest.raises(DependencyAway, match=r"open to stranger, .* set XDG_CACHE_HOME"):
        cache_folder(STRANGER)


def test_a_relative_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # the specification of XDG says so: it would depend on the working folder
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tapeflow"
    assert not os.path.exists("relative")  # noqa: PTH110
