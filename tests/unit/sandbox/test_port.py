"""Ports: free, below those of outgoing connections, and kept."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox import port as ports
from sandbox.port import LOOPBACK, LOWEST, Ports, free_port, is_free
from schemas.errors import DependencyAway


def test_a_port_that_somebody_listens_on_is_not_free():
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_connections_that_linger_are_no_obstacle_to_a_restart():
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            accepted, _ = server.accept()
            # the side that closes first keeps the port in TIME_WAIT
            accepted.close()
    assert is_free(port)


def test_free_ports_lie_below_those_of_outgoing_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    table = tmp_path / "range"
    table.write_text("20000\t60999\n")
    monkeypatch.setattr(ports, "RANGE_FILE", table)
    found = {free_port() for _ in range(200)}
    assert all(LOWEST <= port < 20_000 for port in found)
    # drawn, not counted up: sessions that start together do not meet
    assert len(found) > 150


@pytest.mark.parametrize("text", ["", "no numbers", "1024 65535"])
def test_a_range_that_says_nothing_useful_is_passed_over(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    table = tmp_path / "range"
    table.write_text(text)
    monkeypatch.setattr(ports, "RANGE_FILE", table)
    assert LOWEST <= free_port() < ports.EPHEMERAL


def test_ports_are_kept(tmp_path: Path):
    first = Ports(tmp_path / "ports", 2)
    assert first.known() == []
    chosen = first.choose()
    assert len(set(chosen)) == 2
    first.keep(chosen)
    assert Ports(tmp_path / "ports", 2).choose() == chosen
    first.forget()
    assert first.known() == []


def test_a_kept_port_that_is_taken_is_told_and_not_replaced(tmp_path: Path):
    kept = Ports(tmp_path / "ports", 1)
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        kept.keep([port])
        with pytest.raises(DependencyAway, match=f"port {port} is taken by another program"):
            kept.choose()
