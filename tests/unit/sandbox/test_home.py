"""What is noted of a stack, and who can read it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import home as homes
from sandbox.account import Account, temporary_folder
from sandbox.home import Home, Record, Urls, write_private
from schemas.errors import ConfigInvalid

URLS = Urls("127.0.0.1:1234", "postgresql://postgres:secret@127.0.0.1:4321/market")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "state")


def test_nothing_is_noted_at_first(home: Home):
    assert home.record() is None
    assert not home.path.exists()


@pytest.mark.parametrize(
    "record",
    [Record("local", up=True), Record("local", up=True, urls=URLS), Record("x", up=False, urls=URLS)],
)
def test_what_is_noted_is_read_again(home: Home, record: Record):
    home.note(record)
    assert home.record() == record


def test_the_environment_is_there_while_it_is_up_and_nobody_else_reads_it(home: Home):
    home.note(Record("local", up=True, urls=URLS))
    assert home.env.read_text().splitlines() == [
        "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1234",
        "DATABASE_URL=postgresql://postgres:secret@127.0.0.1:4321/market",
    ]
    assert {path.stat().st_mode & 0o777 for path in home.path.iterdir()} == {0o600}
    home.note(Record("local", up=False, urls=URLS))
    assert not home.env.exists()
    home.note(None)
    assert list(home.path.iterdir()) == []


def test_a_file_is_private_even_where_an_open_one_was(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"kind": "local"}', '{"kind": "local", "up": true, "urls": {"a": 1}}']
)
def test_a_damaged_note_is_told(home: Home, text: str):
    home.path.mkdir()
    (home.path / "stack.json").write_text(text)
    with pytest.raises(ConfigInvalid, match=r"stack\.json cannot be read"):
        home.record()


def test_the_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Home.find({}).path == tmp_path / ".tapeflow"
    assert Home.find({"TAPEFLOW_HOME": ""}).path == tmp_path / ".tapeflow"
    assert Home.find({"TAPEFLOW_HOME": "elsewhere"}).path == tmp_path / "elsewhere"


def test_both_urls_or_none():
    assert Urls.of({"KAFKA_BOOTSTRAP_SERVERS": "a:1", "DATABASE_URL": ""}) is None
    assert Urls.of({"DATABASE_URL": "x"}) is None
    assert Urls.of({"KAFKA_BOOTSTRAP_SERVERS": "a:1", "DATABASE_URL": "x"}) == Urls("a:1", "x")


class TestServerFolder:
    """The data of a database, under root, whose servers run as somebody else."""

    @pytest.fixture
    def base(self) -> Iterator[Path]:
        folder = temporary_folder("tapeflow-unit-")
        yield folder
        shutil.rmtree(folder)

    @pytest.fixture(autouse=True)
    def under_root(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(homes, "server_account", lambda: Account("stranger", 54_321, 54_321))
        monkeypatch.setattr(homes, "SYSTEM_DATA", base / "system")

    def test_it_is_in_the_home(self, base: Path):
        said: list[str] = []
        home = Home(base / "state")
        assert home.server_folder("local", "timescale", said.append) == base / "state" / "local" / "timescale"
        assert said == []

    def test_behind_a_closed_folder_it_is_elsewhere_and_that_is_told(self, base: Path):
        (base / "root").mkdir(mode=0o700)
        said: list[str] = []
        one, two = Home(base / "root" / "one"), Home(base / "root" / "two")
        folder = one.server_folder("local", "timescale", said.append)
        assert folder.is_relative_to(base / "system")
        assert said == [
            f"the database runs as stranger, to whom {one.path} is closed: its data is in {folder}"
        ]
        assert folder == one.server_folder("local", "timescale", said.append)
        assert folder != two.server_folder("local", "timescale", said.append)
