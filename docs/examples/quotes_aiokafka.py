"""Keep quotes in a SQLite file, each of them once, however often this process is killed.

What was read and how far it was read are committed together. Nothing of tapeflow is needed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRecord

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC = os.environ.get("TOPIC_PREFIX", "") + "md.quotes.v1"
TABLES = """
    create table if not exists positions (part integer primary key, next integer not null);
    create table if not exists last (part integer, symbol text, n integer, primary key (part, symbol));
    create table if not exists markers (id text primary key, part integer, value text not null);
    create table if not exists quotes (
      symbol text, ts_event integer, bid real, bid_size real, ask real, ask_size real,
      provider text, feed text, n integer, flags text
    )
"""


def store(database: sqlite3.Connection, record: ConsumerRecord) -> None:
    """Store a record, unless it is a repeat."""
    value = json.loads(record.value)
    if value.get("type") == "marker":
        key = dict(record.headers)["id"].decode()
        new = database.execute(
            "insert or ignore into markers values (?, ?, ?)", (key, record.partition, record.value.decode())
        )
        if new.rowcount and "provider" not in value:
            # the numbers of this partition begin anew
            database.execute("delete from last where part = ?", (record.partition,))
        return
    new = database.execute(
        "insert into last values (?, ?, ?) on conflict do update set n = excluded.n where excluded.n > n",
        (record.partition, value["symbol"], value["n"]),
    )
    if new.rowcount:
        fields = ("symbol", "ts_event", "bid", "bid_size", "ask", "ask_size", "provider", "feed", "n")
        flags = " ".join(value.get("flags", ()))
        row = [value.get(field) for field in fields]  # what is left out is not there: None
        database.execute("insert into quotes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*row, flags])


async def main(path: str) -> None:
    """Read for ever."""
    database = sqlite3.connect(path)
    database.executescript(TABLES)
    positions = dict(database.execute("select part, next from positions"))
    # without a group it has all partitions
    async with AIOKafkaConsumer(
        TOPIC, bootstrap_servers=SERVERS, group_id=None, auto_offset_reset="earliest"
    ) as consumer:
        for partition in consumer.assignment():
            if partition.partition in positions:
                consumer.seek(partition, positions[partition.partition])
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=1_000)).items():
                with database:  # one transaction
                    for record in records:
                        store(database, record)
                    database.execute(
                        "replace into positions values (?, ?)",
                        (partition.partition, records[-1].offset + 1),
                    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "quotes.sqlite"))
