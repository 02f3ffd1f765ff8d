"""``sink_offsets``: the checkpoint. Positions move by compare-and-swap, in the transaction of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sinks.database import Connection

#: (topic, partition); faust.types.TP is one
Partition = tuple[str, int]
K = TypeVar("K", bound=Partition)


class Stored(NamedTuple):
    """What the database says of a partition."""

    next_offset: int
    """Everything below is stored."""
    resume_offset: int
    """The state was taken here."""
    state: bytes | None
    """See domain.snapshot."""


@dataclass(slots=True)
class Move:
    """What a transaction does to one partition; resume offset and state stay as they are when None."""

    expected: int
    next_offset: int
    resume_offset: int | None = None
    state: bytes | None = None


RESET = """
    insert into sink_offsets (sink, cluster, topic, part, next_offset, resume_offset, state)
    values (%(sink)s, %(cluster)s, %(topic)s, %(part)s, %(offset)s, %(offset)s, %(state)b)
    on conflict (sink, cluster, topic, part) do update
    set next_offset = excluded.next_offset, resume_offset = excluded.resume_offset, state = excluded.state,
        updated_at = now()
"""
LIST = """
    select topic, part, next_offset, resume_offset, state from sink_offsets
    where sink = %(sink)s and cluster = %(cluster)s order by topic, part
"""


class PositionsMovedError(Exception):
    """Somebody else moved some of the partitions: nothing of the transaction was stored."""

    def __init__(self, found: Mapping[Partition, Stored]) -> None:
        """Take what the table says now."""
        super().__init__("positions moved")
        self.found = found


#: the row must exist for the compare-and-swap
INSERT = """
    insert into sink_offsets (sink, cluster, topic, part, next_offset, resume_offset, state)
    select %(sink)s, %(cluster)s, w.*
    from unnest(%(topics)s::text[], %(parts)s::int[], %(next)s::int8[], %(resume)s::int8[],
                %(states)b::bytea[]) as w(topic, part, next, resume, state)
    order by 3, 4
    on conflict do nothing
"""
#: for share: wait for an owner that is committing right now, instead of reading around it
SELECT = """
    select topic, part, next_offset, resume_offset, state from sink_offsets
    where sink = %(sink)s and cluster = %(cluster)s
      and (topic, part) in (select * from unnest(%(topics)s::text[], %(parts)s::int[]))
    order by topic, part
    for share
"""
#: all partitions of a batch in one statement, row locks taken in one order: no deadlock with a stale owner
SWAP = """
    with want as (
      select * from unnest(%(topics)s::text[], %(parts)s::int[], %(expected)s::int8[], %(next)s::int8[],
                           %(resume)s::int8[], %(states)b::bytea[])
        as w(topic, part, expected, next, resume, state)),
    held as (
      select s.topic, s.part, s.next_offset from sink_offsets s
      where s.sink = %(sink)s and s.cluster = %(cluster)s
        and (s.topic, s.part) in (select topic, part from want)
      order by s.topic, s.part
      for update)
    update sink_offsets s
    set next_offset = w.next, resume_offset = coalesce(w.resume, s.resume_offset),
        state = coalesce(w.state, s.state), updated_at = now()
    from want w join held h using (topic, part)
    where s.sink = %(sink)s and s.cluster = %(cluster)s and s.topic = w.topic and s.part = w.part
      and h.next_offset = w.expected
"""


@dataclass(frozen=True, slots=True)
class OffsetSink:
    """The positions of one sink on one Kafka cluster."""

    sink: str
    cluster: str

    def load(self, connection: Connection, unseen: Mapping[K, Stored]) -> dict[Partition, Stored]:
        """Return the positions.

        Args:
            connection: in whose transaction; committed.
            unseen: for every partition asked about, what to store if it has never been seen.
        """
        keys = {"sink": self.sink, "cluster": self.cluster, **_columns(unseen)}
        each = unseen.values()
        first = {
            "next": [s.next_offset for s in each],
            "resume": [s.resume_offset for s in each],
            "states": [s.state for s in each],
        }
        connection.execute(INSERT, {**keys, **first})
        rows = connection.execute(SELECT, keys).fetchall()
        connection.commit()
        return {(topic, part): Stored(*rest) for topic, part, *rest in rows}

    def swap(self, connection: Connection, moves: Mapping[K, Move]) -> None:
        """Move the positions, first thing in the transaction of the rows that belong to them.

        Raises:
            PositionsMovedError: at least one was not where it was expected; rolled back.
        """
        each = moves.values()
        swapped = connection.execute(
            SWAP,
            {
                "sink": self.sink,
                "cluster": self.cluster,
                **_columns(moves),
                "expected": [m.expected for m in each],
                "next": [m.next_offset for m in each],
                "resume": [m.resume_offset for m in each],
                "states": [m.state for m in each],
            },
        ).rowcount
        if swapped != len(moves):
            connection.rollback()
            raise PositionsMovedError(self.load(connection, dict.fromkeys(moves, Stored(0, 0, None))))

    def reset(self, connection: Connection, positions: Mapping[K, Stored]) -> None:
        """Put positions where an operator wants them, whatever they were."""
        for (topic, part), stored in positions.items():
            connection.execute(
                RESET,
                {
                    "sink": self.sink,
                    "cluster": self.cluster,
                    "topic": topic,
                    "part": part,
                    "offset": stored.next_offset,
                    "state": stored.state,
                },
            )
        connection.commit()

    def all(self, connection: Connection) -> dict[Partition, Stored]:
        """Return every position there is."""
        rows = connection.execute(LIST, {"sink": self.sink, "cluster": self.cluster}).fetchall()
        connection.commit()
        return {(topic, part): Stored(*rest) for topic, part, *rest in rows}


def _columns(partitions: Iterable[Partition]) -> dict[str, list[str] | list[int]]:
    return {"topics": [topic for topic, _ in partitions], "parts": [part for _, part in partitions]}
