"""``settings_versions``: what was in force when, for whoever asks later."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from psycopg.types.json import Jsonb

from schemas.control import ControlMessage
from sinks.database import Connection

#: every worker writes what it adopts: whoever is first, the row is the same
INSERT = """
    insert into settings_versions (version, digest, document, changed, actor, note, applied_at)
    values (%s, %s, %s, %s, %s, %s, %s)
    on conflict do nothing
"""


class Adopted(NamedTuple):
    """A control message with its place on the topic."""

    number: int
    message: ControlMessage
    at_ms: int
    """When the broker took it, milliseconds since the epoch."""


def write(connection: Connection, versions: Iterable[Adopted]) -> None:
    """Write versions and commit; those that are there already stay.

    Raises:
        psycopg.Error: as it came.
    """
    for number, message, at_ms in versions:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        changed = list(message.changed)
        connection.execute(
            INSERT,
            (
                number,
                message.digest,
                Jsonb(message.document),
                changed,
                message.actor,
                message.note or None,
                at,
            ),
        )
    connection.commit()
