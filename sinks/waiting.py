"""``waiting_requests``: what could not be served when its job came, leased by whichever worker is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.provider import Coverage, ProviderName
from sinks.database import Connection
from sinks.nanos import from_time, to_time

#: a worker that has died holds up what it leased for so long
LEASE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Leased:
    """A request that is ours for `LEASE_S` seconds, with what is to be said of its job."""

    waiting_id: int
    job_id: str
    job_type: str
    partition: int
    offset: int
    submitted_ns: int
    request: dict[str, Any]
    why: str
    heal: bool
    coverage: Coverage
    allow_downgrade: bool
    hint: ProviderName | None
    leases: int
    """How often it was leased, this time counted."""


#: what jobs wait for comes before what only heals
LEASE = f"""
    with due as (
      select waiting_id from waiting_requests
      where not_before <= {to_time("%(now)s")}
        and (lease_until is null or lease_until <= {to_time("%(now)s")})
      order by heal, not_before, waiting_id
      limit %(limit)s
      for update skip locked)
    update waiting_requests w set
      lease_owner = %(owner)s, lease_until = {to_time("%(now)s")} + %(seconds)s * interval '1 second',
      leases = w.leases + 1, updated_at = now()
    from due, jobs j
    where w.waiting_id = due.waiting_id and j.job_id = w.job_id
    returning w.waiting_id, w.job_id, j.job_type, j.part, j.record_offset, {from_time("j.submitted_at")},
      w.request, w.why, w.heal, w.coverage, w.allow_downgrade, w.hint, w.leases
"""  # noqa: S608 - constants of these modules
RELEASE = f"""
    update waiting_requests set
      lease_owner = null, lease_until = null, updated_at = now(), why = %(why)s,
      not_before = {to_time("%(not_before)s")}
    where waiting_id = any(%(ids)s) and lease_owner = %(owner)s
"""  # noqa: S608 - constants of these modules
COUNT = "select count(*) filter (where not heal), count(*) filter (where heal) from waiting_requests"


def lease(connection: Connection, owner: str, limit: int, now_ns: int) -> list[Leased]:
    """Take requests that are due and that nobody holds, the oldest first, and commit.

    Args:
        connection: any.
        owner: who takes them.
        limit: at most so many.
        now_ns: nanoseconds since the epoch; leases last `LEASE_S` seconds from it.
    """
    asked = {"owner": owner, "limit": limit, "now": now_ns, "seconds": LEASE_S}
    rows = connection.execute(LEASE, asked).fetchall()
    connection.commit()
    return sorted((Leased(*row) for row in rows), key=lambda leased: (leased.heal, leased.waiting_id))


def release(connection: Connection, owner: str, ids: Sequence[int], not_before_ns: int, why: str) -> None:
    """Give requests back that could not be served, and commit; what is not ours any more is left alone.

    Args:
        connection: any.
        owner: who took them.
        ids: of the requests.
        not_before_ns: they are not due before, nanoseconds since the epoch.
        why: they still wait.
    """
    said = {"owner": owner, "ids": list(ids), "not_before": not_before_ns, "why": why}
    connection.execute(RELEASE, said)
    connection.commit()


def counts(connection: Connection) -> dict[str, int]:
    """Return how many requests wait (`waiting`) and how many only heal (`healing`)."""
    row = connection.execute(COUNT).fetchone()
    connection.commit()
    assert row is not None
    return {"waiting": row[0], "healing": row[1]}
