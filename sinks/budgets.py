"""``rate_leases``: what workers that share an API key may still send, counted in one place.

A lease is two statements in one round trip: the first takes the lock, so that the second sees what the
holder before it committed. The lock is of one budget and held for about a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import psycopg

from sinks.database import Connection, Database

Share = Literal["live", "backfill"]

#: rows of one share are merged into slots of this part of the shortest window: few rows, however fast the key
SLOT: Final = 0.002
MAX_SLOT_S: Final = 0.1

#: a crash of the server loses a fraction of a second of leases with this: less than its restart takes
PREPARE = "set synchronous_commit = off"
LOCK = "select pg_advisory_xact_lock(hashtextextended('tapeflow rate budget ' || %(budget)s, 0))"
#: a slot ends in the future by less than its length: counted too late rather than too early
LEASE = """
    with clock as materialized (
      select at, to_timestamp(ceil(extract(epoch from at) / %(slot)s) * %(slot)s) as slot
      from (select clock_timestamp() as at) as c),
    caps as (
      select * from unnest(%(permits)s::int4[], %(seconds)s::float8[]) as c(permits, seconds)),
    used as (
      select c.permits - coalesce(sum(l.permits), 0) as free
      from caps c cross join clock left join rate_leases l
        on l.budget = %(budget)s and l.share = %(share)s
        and l.at > clock.at - c.seconds * interval '1 second'
      group by c.permits, c.seconds),
    block as (
      select greatest(0, extract(epoch from max(b.blocked_until) - max(clock.at))) as seconds
      from clock left join rate_blocks b on b.budget = %(budget)s),
    granted as (
      select case when block.seconds > 0 or min(used.free) < %(least)s then 0
                  else least(min(used.free), %(wanted)s) end::int4 as permits,
             block.seconds as blocked
      from used cross join block group by block.seconds),
    purged as (
      delete from rate_leases l using clock
      where l.budget = %(budget)s and l.share = %(share)s
        and l.at < clock.at - 2 * (select max(seconds) from caps) * interval '1 second'),
    taken as (
      insert into rate_leases (budget, share, at, permits)
      select %(budget)s, %(share)s, clock.slot, granted.permits from granted cross join clock
      where granted.permits > 0
      on conflict (budget, share, at) do update set permits = rate_leases.permits + excluded.permits)
    select granted.permits, coalesce(granted.blocked, 0)::float8 from granted
"""
#: of each window the youngest lease that must have left it before there is room
WAIT = """
    select greatest(max(extract(epoch from s.at - clock_timestamp()) + c.seconds), 0)::float8
    from unnest(%(permits)s::int4[], %(seconds)s::float8[]) as c(permits, seconds)
    cross join lateral (
      select max(t.at) as at from (
        select l.at, sum(l.permits) over (order by l.at desc) as total from rate_leases l
        where l.budget = %(budget)s and l.share = %(share)s) as t
      where t.total > c.permits - %(least)s) as s
"""
BLOCK = """
    insert into rate_blocks (budget, blocked_until)
    values (%(budget)s, clock_timestamp() + %(seconds)s * interval '1 second')
    on conflict (budget) do update
    set blocked_until = greatest(rate_blocks.blocked_until, excluded.blocked_until), updated_at = now()
"""


class Grant(NamedTuple):
    """What a lease gave."""

    permits: int
    wait_s: float
    """With 0 permits: when to ask again, seconds."""


def prepare(connection: Connection) -> None:
    """Make a new connection ready; see `PREPARE`."""
    connection.execute(PREPARE)


def lease(connection: Connection, asked: dict[str, Any]) -> Grant:
    """Take permits of one share of a budget.

    Args:
        connection: in whose transaction; committed.
        asked: ``budget``, ``share``, ``permits`` and ``seconds`` of its windows, ``least``, ``wanted``.
    """
    slot = min(MAX_SLOT_S, SLOT * min(asked["seconds"]))
    with connection.pipeline():
        connection.execute(LOCK, asked)
        cursor = connection.execute(LEASE, {**asked, "slot": slot})
        connection.commit()
    grant = Grant(*_row(cursor))
    if grant == (0, 0.0):
        grant = Grant(0, *_row(connection.execute(WAIT, asked)))
        connection.commit()
    return grant


def _row(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return tuple(row)


def block(connection: Connection, budget: str, seconds: float) -> None:
    """Grant nothing of a budget for so long; never shortens a block."""
    connection.execute(BLOCK, {"budget": budget, "seconds": seconds})
    connection.commit()


class SharedLeases:
    """Counts in the database: for all workers together. What `providers.limits` calls leases."""

    def __init__(self, database: Database) -> None:
        """Take a database of its own, with `prepare`: a lease must not wait behind a batch of rows."""
        self._database = database

    async def lease(
        self, budget: str, share: Share, windows: Sequence[tuple[int, float]], *, least: int, wanted: int
    ) -> Grant:
        """Take permits that count as used now.

        Args:
            budget: name of the budget.
            share: of it; the shares count apart.
            windows: permits and seconds of the share.
            least: fewer are of no use.
            wanted: as many are of use.

        Raises:
            DatabaseAway: try again later.
            DatabaseRefused: it said no for another reason.
        """
        asked = {
            "budget": budget,
            "share": share,
            "permits": [permits for permits, _ in windows],
            "seconds": [seconds for _, seconds in windows],
            "least": least,
            "wanted": wanted,
        }
        return await self._database.attempt(lease, asked)

    async def block(self, budget: str, seconds: float) -> None:
        """Grant nothing of a budget for so long, in either share; never shortens a block.

        Raises:
            DatabaseAway: try again later.
            DatabaseRefused: it said no for another reason.
        """
        await self._database.attempt(block, budget, seconds)
