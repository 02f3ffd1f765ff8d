"""The embedded broker, started and ended; how it serves clients is in tests/contract/test_broker.py."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import mock_broker
from sandbox.mock_broker import MockBroker, topics_of
from sandbox.process import start_mark
from schemas.errors import CommandError, DependencyAway

PATIENCE_S = 20.0
MODULE = [sys.executable, "-m", "sandbox.mock_broker", "--topics", "trades:3,dlq:1"]


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_it_listens_on_loopback_until_it_is_closed() -> None:
    broker = MockBroker({"trades": 2})
    assert broker.bootstrap.startswith("127.0.0.1:")
    assert listens(broker.bootstrap)
    broker.close()
    assert not listens(broker.bootstrap)
    broker.close()


def test_two_in_one_process_do_not_meet() -> None:
    with MockBroker({"trades": 2}) as one, MockBroker({"trades": 2}) as other:
        assert one.bootstrap != other.bootstrap


@pytest.mark.parametrize(("topic", "partitions"), [("trades", 2), ("new", 0), ("new", -1)])
def test_a_topic_that_exists_or_has_no_partition_is_refused(topic: str, partitions: int) -> None:
    with MockBroker({"trades": 2}) as broker, pytest.raises(CommandError, match=topic):
        broker.create_topic(topic, partitions)


def test_nothing_is_told_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with MockBroker({"trades": 2}):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_is_named_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(DependencyAway, match="pip install confluent-kafka"):
        MockBroker()


def test_a_package_without_the_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mock_broker, "MAPS", tmp_path / "none")
    with pytest.raises(CommandError, match="install confluent-kafka from a wheel"):
        mock_broker._library_file(tmp_path)


@pytest.mark.parametrize("folder", ["confluent_kafka/.dylibs", "confluent_kafka.libs"])
def test_without_a_memory_map_the_library_is_found_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setattr(mock_broker, "MAPS", tmp_path / "none")
    (tmp_path / folder).mkdir(parents=True)
    library = tmp_path / folder / "librdkafka-1234.so.1"
    library.touch()
    assert mock_broker._library_file(tmp_path / "confluent_kafka") == library


def test_topics_are_read_with_their_partitions() -> None:
    assert topics_of("md.trades.v1:12,md.dlq.v1:1") == {"md.trades.v1": 12, "md.dlq.v1": 1}


@pytest.mark.parametrize("text", ["", "trades", "trades:", ":3", "trades:0", "trades:3;dlq:1", "trades:3,"])
def test_topics_written_otherwise_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME:PARTITIONS"):
        topics_of(text)


@pytest.fixture
def port_file(tmp_path: Path) -> Path:
    return tmp_path / "broker"


@pytest.fixture
def program(port_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*MODULE, "--port-file", str(port_file)])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_where_it_listens_and_ends_when_told(
    program: subprocess.Popen[bytes], port_file: Path, number: signal.Signals
) -> None:
    wait_until(port_file.exists, "no port file")
    address = port_file.read_text()
    assert listens(address)
    assert [file.name for file in port_file.parent.iterdir()] == [port_file.name]
    program.send_signal(number)
    assert program.wait(PATIENCE_S) == 0
    assert not port_file.exists()
    assert not listens(address)


@pytest.mark.parametrize("tied", [True, False], ids=["--with-parent", "alone"])
def test_the_program_ends_with_its_parent_only_if_asked_to(port_file: Path, tied: bool) -> None:
    command = [*MODULE, "--port-file", str(port_file), *(["--with-parent"] if tied else [])]
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, time; print(subprocess.Popen({command!r}).pid, flush=True); time.sleep(600)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    mark = start_mark(child)
    try:
        wait_until(port_file.exists, "no port file")
        parent.kill()
        parent.wait()
        if tied:
            wait_until(lambda: start_mark(child) is None, "the broker outlived its parent")
            assert not port_file.exists()
        else:
            time.sleep(5 * mock_broker.PARENT_POLL_S)
            assert start_mark(child) == mark
            assert listens(port_file.read_text())
    finally:
        parent.kill()
        parent.wait()
        if mark is not None and start_mark(child) == mark:
            os.kill(child, signal.SIGKILL)
