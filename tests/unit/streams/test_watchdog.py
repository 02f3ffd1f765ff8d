"""When a process that is alive should end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from domain.liveness import Progress, stuck
from schemas.errors import OutageOutlasted, Stuck
from streams.watchdog import Watchdog
from tests.unit.streams.clocks import SetClock


class Pulse:
    """What the watchdog asks the worker's pulse for."""

    def __init__(self) -> None:
        self.heartbeat = self.excused_at = self.dealt_at = 0.0
        self.partitions: list[Progress] = []

    def progress(self) -> list[Progress]:
        return self.partitions


class App:
    """A worker as its watchdog sees it: stuck after 90 s, 25 s to stop."""

    def __init__(self) -> None:
        self.clock, self.pulse, self.should_stop = SetClock(), Pulse(), False
        self.services = SimpleNamespace(pulse=self.pulse)
        self.settings = SimpleNamespace(stuck_after_s=90.0, stop_grace_s=25.0, rebalance_timeout_s=60.0)

    def at(self, seconds: float) -> App:
        """Let time pass with a turning event loop, and partitions that are dealt."""
        self.clock.seconds = self.pulse.heartbeat = self.pulse.dealt_at = seconds
        return self


@pytest.fixture
def app():
    return App()


@pytest.fixture
def watchdog(app):
    return Watchdog(app)


def test_a_worker_that_moves_is_left_alone(app, watchdog):
    app.pulse.partitions = [Progress("t[0]", 100, moved_at=1_000.0)]
    app.at(1_089.0)
    assert watchdog.verdict() is None


def test_lag_that_nothing_reduces_ends_it(app, watchdog):
    app.pulse.partitions = [Progress("t[0]", 0, 0.0), Progress("t[1]", 5, moved_at=1_000.0)]
    app.at(1_090.5)
    verdict = watchdog.verdict()
    assert isinstance(verdict, Stuck)
    assert str(verdict) == "t[1]: 5 records behind, nothing stored for 90 s"
    assert verdict.exit_code == 1


def test_an_outage_is_an_excuse_and_patience_begins_when_it_ends(app, watchdog):
    app.pulse.partitions = [Progress("t[0]", 5, moved_at=0.0)]
    app.pulse.excused_at = 1_000.0
    app.at(1_089.0)
    assert watchdog.verdict() is None
    app.at(1_091.0)
    assert isinstance(watchdog.verdict(), Stuck)


def test_no_lag_is_no_reason(app, watchdog):
    app.pulse.partitions = [Progress("t[0]", 0, moved_at=0.0)]
    app.at(1e6)
    assert watchdog.verdict() is None


def test_an_event_loop_that_does_not_turn_ends_it(app, watchdog):
    app.at(1_000.0).clock.seconds = 1_090.5
    verdict = watchdog.verdict()
    assert isinstance(verdict, Stuck)
    assert "event loop has not turned for 9" in str(verdict)


def test_a_group_that_deals_no_partitions_ends_it_after_two_rebalances_and_its_patience(app, watchdog):
    app.at(1_000.0 + 2 * 60 + 90).pulse.dealt_at = 1_000.0
    assert watchdog.verdict() is None
    app.at(1_000.5 + 2 * 60 + 90).pulse.dealt_at = 1_000.0
    verdict = watchdog.verdict()
    assert isinstance(verdict, Stuck)
    assert "no partitions for 210 s" in str(verdict)


def test_a_worker_that_was_told_to_stop_has_a_grace_and_then_none(app, watchdog):
    app.should_stop = True
    app.at(1_000.0)
    assert watchdog.verdict() is None
    app.at(1_025.0)
    assert watchdog.verdict() is None
    app.at(1_025.5)
    verdict = watchdog.verdict()
    assert isinstance(verdict, OutageOutlasted)
    assert "25 s" in str(verdict)
    assert verdict.exit_code == 4


def test_while_stopping_nothing_else_counts(app, watchdog):
    app.pulse.partitions = [Progress("t[0]", 5, moved_at=0.0)]
    app.should_stop = True
    app.at(1_000.0)
    assert watchdog.verdict() is None


def test_it_ends_when_it_is_told_to(watchdog):
    watchdog.start()
    watchdog.stop()
    watchdog._thread.join(5)
    assert not watchdog._thread.is_alive()


@pytest.mark.parametrize(
    ("lag", "moved", "excused", "now", "expected"),
    [
        (1, 0.0, 0.0, 10.0, False),
        (1, 0.0, 0.0, 10.1, True),
        (1, 0.0, 5.0, 14.9, False),
        (1, 9.0, 0.0, 14.9, False),
        (0, 0.0, 0.0, 99.0, False),
    ],
)
def test_stuck(lag, moved, excused, now, expected):
    assert bool(stuck([Progress("t[0]", lag, moved)], now, 10.0, excused)) is expected
