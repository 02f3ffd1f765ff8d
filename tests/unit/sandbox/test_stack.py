"""Which broker and database are taken, and whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from typing_extensions import override

from sandbox.home import Home, Record, Urls
from sandbox.pair import GivenPair, Pair, Part, Topics
from sandbox.stack import AUTO, KINDS, Stack
from schemas.errors import ConfigInvalid, DependencyAway

OURS = Urls("127.0.0.1:1", "postgresql://127.0.0.1:2/market")
FOREIGN = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "DATABASE_URL": "postgresql://db/market"}


class Recorded(Pair):
    """A pair that writes down what is done with it."""

    missing = ""
    fails = False

    def __init__(self, home: Home, say: object) -> None:
        self.calls = CALLS

    @override
    def require(self) -> None:
        CALLS.append(f"{self.kind} require")
        if self.missing:
            raise DependencyAway(self.missing)

    @override
    def start(self, topics: Topics) -> Urls:
        CALLS.append(f"{self.kind} start")
        if self.fails:
            raise KeyboardInterrupt
        return OURS

    @override
    def undo(self) -> None:
        CALLS.append(f"{self.kind} undo")

    @override
    def stop(self, *, wipe: bool) -> list[str]:
        CALLS.append(f"{self.kind} stop")
        return []

    @override
    def parts(self) -> list[Part]:
        return [Part(self.kind, True, "")]


CALLS: list[str] = []


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Recorded]]:
    """The kinds, none of which starts anything."""
    CALLS.clear()
    made: dict[str, type[Recorded]] = {
        name: type(name, (Recorded, KINDS[name]), {"kind": name}) for name in KINDS
    }
    monkeypatch.setattr("sandbox.stack.KINDS", made)
    monkeypatch.setattr("sandbox.stack.migrate_up", lambda url, on_progress: CALLS.append(f"migrate {url}"))
    monkeypatch.setattr(Stack, "_apply_topics", lambda *_: CALLS.append("topics"))
    return made


def stack(tmp_path: Path, environment: dict[str, str] | None = None, said: list[str] | None = None) -> Stack:
    said = [] if said is None else said
    return Stack(Home(tmp_path / "home"), environment=environment or {}, say=said.append)


def test_the_order_is_compose_local_embedded(tmp_path: Path, pairs: dict[str, type[Recorded]]):
    assert list(pairs) == ["compose", "local", "embedded"]
    assert stack(tmp_path).up().kind == "compose"
    assert [call for call in CALLS if "require" in call] == ["compose require"]


def test_the_next_is_taken_where_one_is_missing_and_the_lesser_one_is_explained(
    tmp_path: Path, pairs: dict[str, type[Recorded]]
):
    said: list[str] = []
    pairs["compose"].missing = "no engine"
    assert stack(tmp_path / "1", said=said).up().kind == "local"
    assert said == []
    pairs["local"].missing = "no java"
    assert stack(tmp_path / "2", said=said).up().kind == "embedded"
    assert said == ["not compose: no engine", "not local: no java"]
    pairs["embedded"].missing = "no package"
    with pytest.raises(DependencyAway, match="compose: no engine; local: no java; embedded: no package"):
        stack(tmp_path / "3").up()


def test_a_kind_that_is_asked_for_is_not_replaced(tmp_path: Path, pairs: dict[str, type[Recorded]]):
    pairs["local"].missing = "no java"
    with pytest.raises(DependencyAway, match=r"^no java$"):
        stack(tmp_path).up("local")
    assert CALLS == ["local require"]
    assert stack(tmp_path).home.record() is None


def test_urls_of_the_environment_come_first_and_nothing_is_started(
    tmp_path: Path, pairs: dict[str, type[Recorded]]
):
    given = stack(tmp_path, FOREIGN)
    running = given.up()
    assert (running.kind, running.urls) == (GivenPair.kind, Urls.of(FOREIGN))
    assert CALLS == ["migrate postgresql://db/market", "topics"]
    # not ours: it is neither noted nor stopped
    assert given.home.record() is None
    given.down()
    assert "environment stop" not in CALLS


def test_one_url_alone_is_not_enough(tmp_path: Path, pairs: dict[str, type[Recorded]]):
    assert stack(tmp_path, {"DATABASE_URL": "postgresql://db/market"}).up().kind == "compose"


def test_our_own_urls_in_the_environment_are_not_foreign(tmp_path: Path, pairs: dict[str, type[Recorded]]):
    exported = {"KAFKA_BOOTSTRAP_SERVERS": OURS.kafka, "DATABASE_URL": OURS.database}
    assert stack(tmp_path).up("local").kind == "local"
    assert stack(tmp_path, exported).up().kind == "local"
    assert stack(tmp_path, exported).status()[0] == "local"
    stack(tmp_path, exported).down()
    # also after it was stopped, in the same shell
    assert stack(tmp_path, exported).status() == (None, [])
    assert stack(tmp_path, exported).up("local").kind == "local"


def test_what_is_up_is_kept_and_another_kind_refused(tmp_path: Path, pairs: dict[str, type[Recorded]]):
    stack(tmp_path).up("embedded")
    assert stack(tmp_path).up(AUTO).kind == "embedded"
    with pytest.raises(ConfigInvalid, match="kind embedded is up here: tapeflow down"):
        stack(tmp_path).up("local")
    stack(tmp_path).down()
    assert stack(tmp_path).up("local").kind == "local"


@pytest.mark.parametrize(
    "before", [None, Record("local", up=False, urls=OURS), Record("local", up=True, urls=OURS)]
)
def test_an_interrupted_up_undoes_itself_and_notes_what_was(
    tmp_path: Path, pairs: dict[str, type[Recorded]], before: Record | None
):
    pairs["local"].fails = True
    interrupted = stack(tmp_path)
    interrupted.home.note(before)
    with pytest.raises(KeyboardInterrupt):
        interrupted.up("local")
    assert CALLS[-1] == "local undo"
    assert interrupted.home.record() == before


def test_a_migration_that_fails_undoes_the_start(
    tmp_path: Path, pairs: dict[str, type[Recorded]], monkeypatch: pytest.MonkeyPatch
):
    def refuse(url: str, on_progress: object) -> None:
        raise DependencyAway("no")

    monkeypatch.setattr("sandbox.stack.migrate_up", refuse)
    with pytest.raises(DependencyAway):
        stack(tmp_path).up("local")
    assert CALLS == ["local require", "local start", "local undo"]


def test_down_stops_every_kind(tmp_path: Path, pairs: dict[str, type[Recorded]]):
    running = stack(tmp_path)
    running.up("local")
    CALLS.clear()
    running.down()
    assert CALLS == ["compose stop", "local stop", "embedded stop"]
    assert running.home.record() == Record("local", up=False, urls=OURS)
    running.down(wipe=True)
    assert running.home.record() is None
