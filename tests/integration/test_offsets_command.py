"""`tapeflow offsets` on real services: what it shows, what it refuses, what it changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from domain import snapshot
from domain.candles import Patience
from ops import offsets
from schemas.topics import TRADES
from sinks.offsets import OffsetSink, Stored
from streams import topics
from streams.settings import Settings
from tests.integration import records

pytestmark = pytest.mark.integration

PARTITIONS = 3


@dataclass(frozen=True)
class House:
    """Three partitions of 10 records each, a migrated database, no worker."""

    bootstrap: str
    database_url: str
    topic: str
    group: str
    cluster: str
    settings: dict[str, str]

    def store(
        self, part: int, next_offset: int, resume: int | None = None, state: bytes | None = None
    ) -> None:
        """Put a position into the database, as a worker does."""
        at = Stored(next_offset, next_offset if resume is None else resume, state)
        with psycopg.connect(self.database_url) as connection:
            OffsetSink("candles", self.cluster).reset(connection, {(self.topic, part): at})
            connection.execute(
                "update sink_offsets set resume_offset = %s where part = %s", [at.resume_offset, part]
            )

    def stored(self) -> dict[int, Stored]:
        """Return the positions by partition."""
        with psycopg.connect(self.database_url) as connection:
            found = OffsetSink("candles", self.cluster).all(connection)
        return {part: stored for (_, part), stored in found.items()}

    async def delete_before(self, part: int, offset: int) -> None:
        """Do what retention does."""
        async with topics.admin(self.bootstrap) as admin:
            await admin.delete_records({TopicPartition(self.topic, part): RecordsToDelete(offset)})

    @contextlib.asynccontextmanager
    async def member(self) -> AsyncIterator[AIOKafkaConsumer]:
        """Be a worker in the group."""
        consumer = AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            while not consumer.assignment():
                await asyncio.sleep(0.05)
            yield consumer
        finally:
            await consumer.stop()


@pytest.fixture
async def house(kafka: Any, timescale_url: str, topic_prefix: str) -> House:
    bootstrap = kafka.bootstrap
    await topics.apply(bootstrap, prefix=topic_prefix, partitions=PARTITIONS)
    topic, group = topic_prefix + TRADES.name, f"{topic_prefix}workers"
    records.write(bootstrap, topic, [(p, None, b"%d" % n) for p in range(PARTITIONS) for n in range(10)])
    cluster = await topics.describe(bootstrap)
    return House(
        bootstrap,
        timescale_url,
        topic,
        group,
        cluster.id,
        {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "DATABASE_URL": timescale_url,
            "TOPIC_PREFIX": topic_prefix,
            "TOPIC_PARTITIONS": str(PARTITIONS),
            "KAFKA_GROUP": group,
        },
    )


@pytest.fixture
def run(tapeflow, house):
    """Run `tapeflow offsets` in a thread: the test's own members go on meanwhile."""

    async def run(*args: str, **settings: str) -> Any:
        return await asyncio.to_thread(tapeflow, "offsets", *args, settings=house.settings | settings)

    return run


def shown(done: Any) -> dict[int, dict[str, Any]]:
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    return {row["partition"]: row for row in document["positions"]}


async def test_what_was_never_read_is_new(run, house):
    done = await run("show", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["cluster"] == house.cluster
    assert shown(done)[1] == {
        "topic": house.topic,
        "partition": 1,
        "begin": 0,
        "committed": None,
        "stored": None,
        "resume": None,
        "end": 10,
        "verdict": "new",
    }


async def test_every_verdict(run, house):
    house.store(0, 8, 5)
    house.store(1, 11)
    house.store(2, 9, 2)
    await house.delete_before(2, 3)
    done = await run("show", "--json")
    rows = shown(done)
    assert {part: row["verdict"] for part, row in rows.items()} == {
        0: "ok",
        1: "beyond_end",
        2: "before_begin",
    }
    assert (rows[0]["stored"], rows[0]["resume"], rows[2]["begin"]) == (8, 5, 3)
    assert done.returncode == 6
    assert done.stderr == ("tapeflow: 2 partitions cannot be gone on from: see `tapeflow offsets reset -h`\n")


async def test_the_groups_offset_is_shown_and_must_not_lead(run, house):
    house.store(0, 8)
    house.store(1, 8)
    async with house.member() as member:
        await member.commit({TopicPartition(house.topic, 0): 8, TopicPartition(house.topic, 1): 9})
    done = await run("show", "--json")
    rows = shown(done)
    assert [(rows[p]["committed"], rows[p]["verdict"]) for p in range(3)] == [
        (8, "ok"),
        (9, "committed_ahead"),
        (None, "new"),
    ]
    assert done.returncode == 0


async def test_the_groups_offset_goes_back_with_the_position_and_never_forward(run, house):
    house.store(0, 9)
    house.store(1, 9)
    async with house.member() as member:
        await member.commit({TopicPartition(house.topic, part): 9 for part in (0, 1)})
    assert (await run("reset", "--to", "4", "--partition", "0", "--yes")).returncode == 0
    assert (await run("reset", "--to", "latest", "--partition", "1", "--yes")).returncode == 0
    rows = shown(await run("show", "--json"))
    assert [(rows[p]["committed"], rows[p]["stored"]) for p in (0, 1)] == [(4, 4), (9, 10)]


async def test_the_table_has_a_line_for_each_partition(run, house):
    house.store(0, 8, 5)
    done = await run("show")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["topic", "partition", "begin", "committed", "stored", "resume", "end", "verdict"]
    assert [line.split() for line in lines] == [
        [house.topic, "0", "0", "-", "8", "5", "10", "ok"],
        [house.topic, "1", "0", "-", "-", "-", "10", "new"],
        [house.topic, "2", "0", "-", "-", "-", "10", "new"],
    ]


async def test_a_reset_says_what_it_would_do_and_does_it_only_when_told(run, house):
    house.store(0, 11)
    dry = await run("reset", "--to", "latest")
    assert dry.returncode == 0
    assert dry.stdout.splitlines() == [
        f"{house.topic}[0]: 11 -> 10",
        f"{house.topic}[1]: None -> 10",
        f"{house.topic}[2]: None -> 10",
    ]
    assert dry.stderr == "nothing was changed: add --yes to do it\n"
    assert house.stored() == {0: Stored(11, 11, None)}

    done = await run("reset", "--to", "latest", "--partition", "0", "--yes", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "schema_version": 1,
        "done": True,
        "moves": [{"topic": house.topic, "partition": 0, "from": 11, "to": 10}],
    }
    assert list(house.stored()) == [0]
    assert house.stored()[0].next_offset == 10
    assert (await run("show")).returncode == 0


@pytest.mark.parametrize(("to", "offset"), [("earliest", 3), ("7", 7), ("latest", 10)])
async def test_going_on_amid_the_log_publishes_no_part_of_a_bar(run, house, to, offset):
    await house.delete_before(0, 3)
    house.store(0, 9, 2, b"a state that is no longer true")
    assert (await run("reset", "--to", to, "--partition", "0", "--yes")).returncode == 0
    stored = house.stored()[0]
    assert (stored.next_offset, stored.resume_offset) == (offset, offset)
    assert snapshot.restore(stored.state, offset, Patience()).book.jumped


async def test_going_back_to_the_very_beginning_forgets_the_state(run, house):
    house.store(0, 9, 2, b"a state that is no longer true")
    assert (await run("reset", "--to", "earliest", "--partition", "0", "--yes")).returncode == 0
    assert house.stored()[0] == Stored(0, 0, None)


async def test_a_reset_is_refused_while_a_worker_is_in_the_group(run, house):
    house.store(0, 11)
    async with house.member():
        refused = await run("reset", "--to", "latest", "--yes")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"tapeflow: 1 workers are in group {house.group}: stop them first\n"
    assert house.stored() == {0: Stored(11, 11, None)}
    assert (await run("reset", "--to", "latest", "--yes")).returncode == 0


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--to", "tomorrow"), 2, "--to takes earliest, latest or an offset"),
        (("--to", "-1"), 2, "--to takes earliest, latest or an offset"),
        (("--to", "latest", "--partition", "7"), 2, "no partition 7; there are 0..2"),
        (("--to", "latest", "--partition", "0", "--partition", "7"), 2, "no partition 7; there are 0..2"),
        (("--to", "11", "--yes"), 1, "holds 0..10, not 11"),
        ((), 2, "--to"),
    ],
)
async def test_what_cannot_be_meant_changes_nothing(run, house, args, code, words):
    house.store(0, 8)
    done = await run("reset", *args)
    assert done.returncode == code
    assert words in done.stderr
    assert house.stored() == {0: Stored(8, 8, None)}


async def test_positions_of_another_cluster_are_not_ours(run, house):
    with psycopg.connect(house.database_url) as connection:
        OffsetSink("candles", "elsewhere").reset(connection, {(house.topic, 0): Stored(99, 99, None)})
    assert shown(await run("show", "--json"))[0]["verdict"] == "new"


@pytest.mark.parametrize("command", [("show",), ("reset", "--to", "latest", "--yes")])
@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 4, "no broker answers at 127.0.0.1:1"),
        ({"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/db"}, 4, "the database does not answer"),
        ({"DATABASE_URL": "not a url, hunter2"}, 3, "DATABASE_URL"),
        ({"TOPIC_PREFIX": "nothing."}, 1, "nothing.md.trades.v1 does not exist"),
    ],
    ids=["broker", "database", "url", "topic"],
)
async def test_what_is_not_there_is_told_in_a_sentence(run, command, settings, code, words):
    done = await run(*command, **settings)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


async def test_a_database_that_was_not_migrated_is_told_in_a_sentence(run, plain_database):
    done = await run("show", DATABASE_URL=plain_database)
    assert (done.returncode, done.stdout) == (1, "")
    assert "tapeflow migrate up" in done.stderr
    assert "Traceback" not in done.stderr


async def test_members_are_counted(house):
    settings = Settings(
        kafka_bootstrap_servers=house.bootstrap, kafka_group=house.group, topic_prefix=house.topic[:-12]
    )
    assert await offsets.members(settings) == 0
    async with house.member(), house.member():
        assert await offsets.members(settings) == 2
