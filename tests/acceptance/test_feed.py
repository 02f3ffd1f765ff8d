"""Who leads a live feed, and what happens when nobody takes its ticks: a real lock, a real outage."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.acceptance.conftest import RigFactory
from tests.acceptance.feed_process import end, log_of, start, turns, wait_turn
from tests.acceptance.feed_topics import FeedTopics, feed_topics
from tests.acceptance.rig import Rig, wait_until
from tests.dense_market import Ident, S
from tests.feed_server import KEY, FeedServer, Made, feed_server_thread

pytestmark = pytest.mark.acceptance

SYMBOLS = ("AAPL", "MSFT", "IBM", "TSLA", "BRK.B", "F")
KINDS = {"T": "trade", "Q": "quote"}
PROVIDER = "polygon"
#: ticks a second of each channel
RATE = 20.0
#: within which another must have taken over
TAKEOVER_S = 10.0
#: what a hole is longer than what was missed: the lateness that consumers wait, and doubt about clocks
MARGIN_S = 4.0
#: within which the vendor must have lost patience with us, and for what was lost in all
PARTING_S, OUTAGE_S = 30.0, 60.0


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with feed_server_thread(RATE) as server:
        yield server


def start_one(rig: Rig, server: FeedServer, name: str, *options: str, **settings: Any) -> None:
    command = [PROVIDER, "--symbols", ",".join(SYMBOLS), *options]
    settings |= {"polygon_api_key": KEY, "polygon_plan": "paid", "polygon_ws_url": server.url}
    start(rig, name, *command, **settings)


def goes_on(server: FeedServer, topics: FeedTopics, rig: Rig, timeout: float = 20) -> int:
    """Wait until the next tick that is made has been promised; return how many have been made up to it."""
    count = len(server.made) + 1
    wait_until(lambda: len(server.made) >= count, 10, f"the market goes on\n{rig.log_tail()}")
    last_ns = server.made[count - 1].ts_ns
    wait_until(
        lambda: topics.of(PROVIDER).promised_ns > last_ns,
        timeout,
        f"a clock beyond {last_ns}\n{rig.log_tail()}",
    )
    return count


def market(made: Sequence[Made]) -> list[Ident]:
    return [Ident(KINDS[tick.kind], tick.symbol, tick.ts_ns) for tick in made]


def begun(server: FeedServer, topics: FeedTopics) -> int:
    """Return how many ticks were made before a second after the first that arrived."""
    first_ns = min(tick.ts_ns for tick in topics.of(PROVIDER).ticks)
    return next(n for n, tick in enumerate(server.made) if tick.ts_ns > first_ns + S)


def leader(rig: Rig) -> str:
    """Return who became active last, by its log."""
    return max((n for n in rig.workers if turns(rig, n, "active")), key=lambda n: _active_at(rig, n))


def _active_at(rig: Rig, name: str) -> str:
    lines = log_of(rig, name).read_text().splitlines()
    return next(line for line in reversed(lines) if '"event":"active, was ' in line)


def test_whoever_loses_the_lock_stops_speaking_and_another_goes_on(
    make_rig: RigFactory, server: FeedServer
) -> None:
    rig = make_rig(partitions=2)
    with feed_topics(rig) as topics:
        start_one(rig, server, "f1")
        wait_turn(rig, "f1", "active")
        start_one(rig, server, "f2")
        wait_turn(rig, "f2", "standby")
        goes_on(server, topics, rig)

        # the session ends, as when the database restarts: either may lead next, and never both
        ended = rig.query(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        assert ended == [(True,)]
        wait_until(lambda: len(server.logins) == 2, TAKEOVER_S, f"one takes over\n{rig.log_tail()}")
        goes_on(server, topics, rig)
        assert server.partings == [], "two were connected at a time"

        # the leader is frozen: its session goes on until it has proved nothing for some seconds
        # to the vendor it is a quiet client
        server.only_one = False
        frozen = leader(rig)
        rig.tell(frozen, signal.SIGSTOP)
        wait_until(lambda: len(server.logins) == 3, TAKEOVER_S, f"the other takes over\n{rig.log_tail()}")
        goes_on(server, topics, rig)
        rig.tell(frozen, signal.SIGCONT)
        wait_until(lambda: len(server.clients) == 1, TAKEOVER_S, f"{frozen} hangs up\n{rig.log_tail()}")
        until = goes_on(server, topics, rig)
        end(rig)
        assert server.connects == 3

        told, truth = topics.of(PROVIDER), market(server.made[begun(server, topics) : until])
        assert told.violations(truth) == []
        missing = told.missing(truth)
        print(told.summary(len(truth), len(missing)))
        holes = told.holes("takeover")
        assert len(holes) == 2
        for hole in holes:
            assert 0 < hole.seconds < TAKEOVER_S + MARGIN_S, hole
            assert any(hole.begin < tick.ts_ns < hole.end for tick in missing), hole
        assert told.longest_silence_s() < TAKEOVER_S


def test_broker_away_the_vendor_parts_with_a_slow_consumer_and_whoever_is_told_to_stop_stops(
    kafka: Any, make_rig: RigFactory, server: FeedServer
) -> None:
    # padded, so that the buffers of the system between vendor and feed fill within seconds
    with feed_server_thread(RATE, padding=16_000) as padded:
        rig, other = make_rig(partitions=2), make_rig(partitions=2)
        start_one(rig, padded, "f1", "--buffer", "500")
        start_one(other, server, "g1", stop_grace_s=1)
        with feed_topics(rig) as topics, feed_topics(other) as others:
            wait_turn(rig, "f1", "active")
            wait_turn(other, "g1", "active")
            goes_on(padded, topics, rig)
            goes_on(server, others, other)
        kafka.kill()
        try:
            wait_until(lambda: padded.partings, PARTING_S, f"the vendor parts\n{rig.log_tail()}")
            code, seconds = other.end("g1")
        finally:
            kafka.start()
        assert (code, seconds < 10) == (0, True), other.log_tail()
        assert padded.partings == ["slow_consumer"]
        with feed_topics(rig) as topics:
            wait_turn(rig, "f1", "active", 2)
            until = goes_on(padded, topics, rig, OUTAGE_S)
            end(rig)
            told, truth = topics.of(PROVIDER), market(padded.made[begun(padded, topics) : until])
        assert told.violations(truth) == []
        print(told.summary(len(truth), len(told.missing(truth))))
        (hole,) = told.holes("connection lost")
        assert 0 < hole.seconds < OUTAGE_S
        assert any(hole.begin < tick.ts_ns < hole.end for tick in told.missing(truth))
