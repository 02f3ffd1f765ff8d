"""The checkpoint on a real database: all of a batch moves, or nothing of it does."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from sinks import offsets
from sinks.database import SESSION, Connection
from sinks.offsets import Move, OffsetSink, PositionsMovedError, Stored

pytestmark = pytest.mark.integration

TOPIC = "md.trades.v1"
SINK = OffsetSink("candles", "cluster-1")
PARTS = [(TOPIC, part) for part in range(6)]


@pytest.fixture
def connect(database_url: str) -> Iterator[Any]:
    """Open connections as a worker has them."""
    opened: list[Connection] = []

    def connect() -> Connection:
        connection = psycopg.connect(database_url)
        connection.execute(SESSION)
        connection.commit()
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect: Any) -> Connection:
    one: Connection = connect()
    return one


def start(connection: Connection, offset: int = 10) -> None:
    SINK.load(connection, dict.fromkeys(PARTS, Stored(offset, offset - 3, b"state")))


def positions(connection: Connection) -> list[int]:
    return [stored.next_offset for stored in SINK.all(connection).values()]


def wait_until_blocked(connection: Connection, count: int = 1) -> None:
    """Return when so many sessions of this database wait for a lock."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and wait_event_type = 'Lock'"
        ).fetchone()
        connection.commit()
        if row is not None and row[0] >= count:
            return
    raise AssertionError("nobody waits")


def test_a_partition_never_seen_begins_where_it_is_told_and_only_once(connection):
    first = SINK.load(connection, {PARTS[0]: Stored(5, 5, None), PARTS[3]: Stored(7, 2, b"\x00\xff")})
    assert first == {PARTS[0]: Stored(5, 5, None), PARTS[3]: Stored(7, 2, b"\x00\xff")}
    again = SINK.load(connection, dict.fromkeys(PARTS[:4], Stored(0, 0, None)))
    assert again == first | {PARTS[1]: Stored(0, 0, None), PARTS[2]: Stored(0, 0, None)}


def test_positions_of_another_cluster_sink_or_topic_are_others(connection):
    start(connection)
    for other in (OffsetSink("candles", "cluster-2"), OffsetSink("quotes", "cluster-1")):
        assert other.all(connection) == {}
        other.load(connection, {PARTS[0]: Stored(77, 77, None)})
        other.swap(connection, {PARTS[0]: Move(77, 78)})
        connection.commit()
    SINK.load(connection, {("md.other.v1", 0): Stored(1, 1, None)})
    assert positions(connection) == [1, 10, 10, 10, 10, 10, 10]


def test_a_swap_moves_and_keeps_what_it_does_not_name(connection):
    start(connection)
    SINK.swap(connection, {PARTS[1]: Move(10, 12), PARTS[0]: Move(10, 20, 15, b"new")})
    connection.commit()
    stored = SINK.all(connection)
    assert stored[PARTS[0]] == Stored(20, 15, b"new")
    assert stored[PARTS[1]] == Stored(12, 7, b"state")
    assert stored[PARTS[2]] == Stored(10, 7, b"state")


def test_a_swap_is_nothing_before_its_commit(connect):
    ours, theirs = connect(), connect()
    start(ours)
    SINK.swap(ours, {PARTS[0]: Move(10, 20)})
    assert positions(theirs) == [10] * 6
    ours.rollback()
    assert positions(ours) == [10] * 6


def test_one_lost_partition_stops_the_whole_swap_and_everything_is_told(connection):
    start(connection)
    SINK.swap(connection, {PARTS[2]: Move(10, 33, 33, b"theirs")})
    connection.commit()
    with pytest.raises(PositionsMovedError) as lost:
        SINK.swap(connection, {tp: Move(10, 20) for tp in PARTS[:4]})
    assert lost.value.found == {
        PARTS[0]: Stored(10, 7, b"state"),
        PARTS[1]: Stored(10, 7, b"state"),
        PARTS[2]: Stored(33, 33, b"theirs"),
        PARTS[3]: Stored(10, 7, b"state"),
    }
    assert positions(connection) == [10, 10, 33, 10, 10, 10]


def test_a_lost_swap_takes_back_what_the_transaction_did_before(connection):
    start(connection)
    connection.execute("create temp table written (a int)")
    connection.execute("insert into written values (1)")
    with pytest.raises(PositionsMovedError):
        SINK.swap(connection, {PARTS[0]: Move(9, 20)})
    row = connection.execute("select to_regclass('written')").fetchone()
    assert row == (None,)


def test_of_two_owners_one_wins(connect):
    ours, theirs, observer = connect(), connect(), connect()
    start(observer)
    SINK.swap(ours, {PARTS[0]: Move(10, 20), PARTS[1]: Move(10, 20)})
    lost: list[PositionsMovedError] = []

    def compete() -> None:
        try:
            SINK.swap(theirs, {PARTS[1]: Move(10, 15), PARTS[2]: Move(10, 15)})
        except PositionsMovedError as exc:
            lost.append(exc)

    thread = threading.Thread(target=compete)
    thread.start()
    wait_until_blocked(observer)
    ours.commit()
    thread.join(10)
    assert not thread.is_alive()
    assert lost[0].found == {PARTS[1]: Stored(20, 7, b"state"), PARTS[2]: Stored(10, 7, b"state")}
    assert positions(observer) == [20, 20, 10, 10, 10, 10]


def test_the_loser_may_have_it_when_the_winner_rolls_back(connect):
    ours, theirs, observer = connect(), connect(), connect()
    start(observer)
    SINK.swap(ours, {PARTS[0]: Move(10, 20)})

    def compete() -> None:
        SINK.swap(theirs, {PARTS[0]: Move(10, 15)})
        theirs.commit()

    thread = threading.Thread(target=compete)
    thread.start()
    wait_until_blocked(observer)
    ours.rollback()
    thread.join(10)
    assert positions(observer)[0] == 15


def test_a_new_owner_waits_for_the_one_that_is_committing(connect):
    former, successor, observer = connect(), connect(), connect()
    start(observer)
    SINK.swap(former, {PARTS[0]: Move(10, 20, 20, b"later")})
    found: dict[Any, Stored] = {}

    def take_over() -> None:
        found.update(SINK.load(successor, dict.fromkeys(PARTS, Stored(0, 0, None))))

    thread = threading.Thread(target=take_over)
    thread.start()
    wait_until_blocked(observer)
    assert found == {}, "it read around a transaction under way"
    former.commit()
    thread.join(10)
    assert found[PARTS[0]] == Stored(20, 20, b"later")


def test_an_owner_that_commits_between_the_two_statements_of_a_load_is_waited_for_too(connect):
    former, successor, observer = connect(), connect(), connect()
    start(observer)
    keys = {"sink": SINK.sink, "cluster": SINK.cluster, "topics": [TOPIC], "parts": [0]}
    SINK.swap(former, {PARTS[0]: Move(10, 20)})
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(successor.execute(offsets.SELECT, keys).fetchall()))
    thread.start()
    wait_until_blocked(observer)
    former.commit()
    thread.join(10)
    assert [next_offset for _, _, next_offset, *_ in found] == [20]


def test_a_reset_is_what_the_operator_says_whatever_there_was(connection):
    start(connection)
    SINK.reset(connection, {PARTS[0]: Stored(3, 3, b"jumped"), (TOPIC, 9): Stored(4, 4, None)})
    stored = SINK.all(connection)
    assert stored[PARTS[0]] == Stored(3, 3, b"jumped")
    assert stored[TOPIC, 9] == Stored(4, 4, None)
    assert stored[PARTS[1]] == Stored(10, 7, b"state")
    SINK.reset(connection, {PARTS[0]: Stored(0, 0, None)})
    assert SINK.all(connection)[PARTS[0]] == Stored(0, 0, None)


def test_many_owners_of_any_partitions_neither_deadlock_nor_lose_a_move(connect):
    rounds, owners = 40, 6
    start(connect(), offset=3)
    won = [0] * owners

    def own(seed: int) -> None:
        mine, rng = connect(), random.Random(seed)
        for _ in range(rounds):
            parts = rng.sample(PARTS, rng.randint(1, len(PARTS)))
            stored = SINK.load(mine, dict.fromkeys(parts, Stored(0, 0, None)))
            moves = {tp: Move(stored[tp].next_offset, stored[tp].next_offset + 1) for tp in parts}
            try:
                SINK.swap(mine, moves)
            except PositionsMovedError:
                continue
            mine.commit()
            won[seed] += len(parts)

    with ThreadPoolExecutor(owners) as pool:
        for done in [pool.submit(own, seed) for seed in range(owners)]:
            done.result(60)  # raises DeadlockDetected, LockNotAvailable
    assert sum(positions(connect())) == 3 * len(PARTS) + sum(won)
    assert all(won), "an owner that never wins proves nothing"
