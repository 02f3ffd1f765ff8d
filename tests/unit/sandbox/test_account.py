"""Whom a database server runs as, and which folders are open to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import account as accounts
from sandbox.account import Account, require_open, server_account, temporary_folder
from schemas.errors import DependencyAway

#: neither we nor anybody else
STRANGER = Account("stranger", 54_321, 54_321)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own is closed to others under root."""
    folder = temporary_folder("tapeflow-unit-")
    yield folder
    shutil.rmtree(folder)


def test_an_open_folder_may_be_entered_and_one_behind_a_closed_folder_not(folder: Path):
    closed = folder / "home"
    inner = closed / "checkout"
    inner.mkdir(parents=True)
    inner.chmod(0o755)
    closed.chmod(0o755)
    assert STRANGER.may_pass(inner)
    closed.chmod(0o700)
    assert STRANGER.closed_at(inner) == closed
    assert STRANGER.closed_at(inner / "not" / "made" / "yet") == closed


def test_owner_and_group_are_judged_by_their_own_bits(folder: Path):
    closed = folder / "own"
    closed.mkdir()
    closed.chmod(0o100)
    found = closed.stat()
    assert Account("owner", found.st_uid, 54_321).may_pass(closed)
    assert not Account("member", 54_321, found.st_gid).may_pass(closed)
    closed.chmod(0o011)
    # the owner's bits count for the owner, however open the folder is to others
    assert not Account("owner", found.st_uid, found.st_gid).may_pass(closed)
    assert Account("member", 54_321, found.st_gid).may_pass(closed)
    closed.chmod(0o700)


def test_a_closed_folder_is_named_with_what_to_do(folder: Path):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DependencyAway, match=f"runs as stranger, to whom {closed} is closed: .* chmod o.x"):
        require_open(closed / "data", STRANGER)
    require_open(closed / "data", None)


def test_root_becomes_an_account_that_exists(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = server_account()
    assert found is not None
    assert found.uid != 0
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_account() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "NAMES", ("no-such-account-1", "no-such-account-2"))
    with pytest.raises(DependencyAway, match="run tapeflow as an ordinary user"):
        server_account()


def test_a_temporary_folder_avoids_a_closed_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(accounts, "server_account", lambda: STRANGER)
    folder = temporary_folder("tapeflow-unit-")
    try:
        assert STRANGER.may_pass(folder)
        assert not folder.stat().st_mode & 0o044
    finally:
        folder.rmdir()
