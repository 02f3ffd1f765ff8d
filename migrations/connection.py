"""The way to the database that is migrated: one connection, one lock, and what the server offers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrations.files import POSTGRES, TIMESCALE, known_option
from schemas.errors import ConfigInvalid, DependencyAway

#: Advisory lock of one database that every run of the migrations holds: the bytes of "tapeflow".
LOCK_KEY: Final = 0x7461_7065_666C_6F77
LOCK_POLL_SECONDS: Final = 0.2
LOCK_WAIT_SECONDS: Final = 600.0
CONNECT_SECONDS: Final = 10

TRY_LOCK = "select pg_try_advisory_lock(%s)"
# The setting exists when the library was loaded at the start of the server; without that the server
# ends a connection that creates the extension.
EXTENSION = """
    select exists (select from pg_extension where extname = 'timescaledb'),
           exists (select from pg_available_extensions where name = 'timescaledb'),
           current_setting('timescaledb.disable_load', true) is not null
"""
CREATE_EXTENSION = "create extension if not exists timescaledb"

type_of_connection = psycopg.Connection[tuple[Any, ...]]
Say = Callable[[str], None]


def first_line(error: BaseException) -> str:
    """Return the first line of what the server or the driver said."""
    return str(error).strip().partition("\n")[0].strip()


def masked(url: str) -> str:
    """Return `url` without its password: ``postgresql://user:***@host:port/database``.

    Raises:
        ConfigInvalid: It is not a URL that PostgreSQL understands; its text is not repeated.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # not chained: the driver quotes the text, and the password may be part of it
        raise ConfigInvalid(
            "the database URL is not valid; write postgresql://user:password@host:port/database"
        ) from None
    user = str(parts.get("user") or "")
    if parts.get("password"):
        user += ":***"
    host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user + '@' if user else ''}{host}{port}/{parts.get('dbname') or ''}"


def connect(url: str) -> type_of_connection:
    """Open a connection in autocommit mode.

    Raises:
        ConfigInvalid: `url` is not valid.
        DependencyAway: The database cannot be reached, or refuses the user.
    """
    where = masked(url)
    try:
        if "connect_timeout" not in conninfo_to_dict(url):
            url = make_conninfo(url, connect_timeout=CONNECT_SECONDS)
        return psycopg.connect(url, autocommit=True)
    except psycopg.OperationalError as exc:
        raise DependencyAway(
            f"cannot open the database {where}: {first_line(exc)}; start it or correct DATABASE_URL"
        ) from exc


def take_lock(conn: type_of_connection, say: Say) -> None:
    """Wait until no other run migrates this database; the lock is held until `conn` closes.

    The lock is polled: a blocking ``pg_advisory_lock`` keeps a transaction open while it waits, which
    deadlocks with ``create index concurrently`` in the run that holds the lock.

    Raises:
        DependencyAway: Another run held the lock for ten minutes.
    """
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    told = False
    while conn.execute(TRY_LOCK, (LOCK_KEY,)).fetchone() != (True,):
        if not told:
            say("another run is migrating this database: waiting for it")
            told = True
        if time.monotonic() > deadline:
            raise DependencyAway(
                f"another run has been migrating this database for {LOCK_WAIT_SECONDS:.0f} s; "
                "look for it in pg_stat_activity, then try again"
            )
        time.sleep(LOCK_POLL_SECONDS)


def obstacle(conn: type_of_connection, url: str, *, create: bool) -> str | None:
    """Return why the extension timescaledb cannot be used in this database; None if it can.

    Args:
        conn: Asked what the server offers.
        url: Opened a second time to create the extension: a refusal may end the connection.
        create: Create the extension if it is missing; without it, creating is taken to be permitted.
    """
    row = conn.execute(EXTENSION).fetchone()
    assert row is not None
    installed, available, preloaded = row
    if installed:
        return None
    if not available:
        return "the server does not have the extension timescaledb"
    if not preloaded:
        return "timescaledb is not in the server's shared_preload_libraries"
    if create:
        try:
            with connect(url) as second:
                second.execute(CREATE_EXTENSION)
        except psycopg.Error as exc:
            return f"the extension timescaledb cannot be created ({first_line(exc)})"
    return None


def choose_option(
    conn: type_of_connection, url: str, *, wanted: str | None, recorded: str | None, create: bool, say: Say
) -> str:
    """Return ``timescale`` or ``postgres``: the recorded one, else the wanted one, else what is there.

    Raises:
        ConfigInvalid: `wanted` is unknown, is not the recorded one, or cannot work on this server.
    """
    if wanted is not None:
        known_option(wanted)
    if recorded is not None:
        if wanted not in (None, recorded):
            raise ConfigInvalid(
                f"this database was migrated with the option {recorded}; "
                f"for {wanted} migrate an empty database and copy the rows"
            )
        return recorded
    if wanted == POSTGRES:
        return POSTGRES
    why = obstacle(conn, url, create=create)
    if why is None:
        return TIMESCALE
    if wanted == TIMESCALE:
        raise ConfigInvalid(f"the option timescale is not possible here: {why}")
    say(f"{why}: plain PostgreSQL it is")
    return POSTGRES
