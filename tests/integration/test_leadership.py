"""One leads of several candidates; whoever cannot prove it stops, and the next one gets the lead soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from domain.clock import SystemClock
from schemas.errors import DatabaseAway, DatabaseRefused
from sinks.leadership import SILENT_S, TRUST_S, Leadership
from tests.unit.streams.clocks import SetClock

pytestmark = pytest.mark.integration

NAME = "feed polygon sip"


def candidate(url: str, name: str = NAME) -> Leadership:
    return Leadership(url, name, SystemClock())


def sessions(url: str) -> list[tuple[int, str]]:
    """Return process and application name of whoever holds an advisory lock in this database."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select a.pid, a.application_name from pg_locks l join pg_stat_activity a using (pid)"
            " where l.locktype = 'advisory' and a.datname = current_database()"
        ).fetchall()


async def until(condition: Callable[[], Any], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


async def test_only_one_leads_and_the_next_one_when_it_resigns(database: str) -> None:
    async with candidate(database) as first, candidate(database) as second, candidate(database, "x") as other:
        assert await first.stand()
        assert not await second.stand()
        assert not second.leads()
        assert await other.stand()
        assert await first.prove()
        assert first.leads()
        await first.resign()
        assert not first.leads()
        await until(lambda: len(sessions(database)) == 1, 5)
        assert await second.stand()
        assert await second.prove()
    await until(lambda: sessions(database) == [], 5)


async def test_a_name_may_be_anything(plain_database: str) -> None:
    for name in ("'; drop table x; --", "ümläut" * 30, ""):
        async with candidate(plain_database, name) as first, candidate(plain_database, name) as second:
            assert await first.stand()
            assert await first.prove()
            assert not await second.stand()


async def test_a_session_that_is_ended_does_not_lead_any_more(database: str) -> None:
    async with candidate(database) as first, candidate(database) as second:
        assert await first.stand()
        ((pid, name),) = sessions(database)
        assert name == f"tapeflow {NAME}"
        with psycopg.connect(database) as connection:
            connection.execute("select pg_terminate_backend(%s)", (pid,))
        await until(lambda: sessions(database) == [], 5)
        assert await second.stand()
        # its connection is gone: a new one must not be taken for it
        assert not await first.prove()
        assert not first.leads()
        assert not await first.stand()


async def test_whoever_is_silent_is_deposed_by_the_server_before_long(database: str) -> None:
    async with candidate(database) as first, candidate(database) as second:
        assert await first.stand()
        begun = time.monotonic()
        while not await second.stand():
            assert time.monotonic() - begun < SILENT_S + 2
            await asyncio.sleep(0.2)
        # by then the former leader has long ceased to trust itself
        assert time.monotonic() - begun > TRUST_S
        assert not first.leads()
        assert not await first.prove()


async def test_trust_ends_without_a_proof(database: str) -> None:
    clock = SetClock()
    async with Leadership(database, NAME, clock) as one:
        assert not one.leads()
        assert await one.stand()
        clock.seconds += TRUST_S - 0.1
        assert one.leads()
        assert await one.prove()
        clock.seconds += TRUST_S - 0.1
        assert one.leads()
        clock.seconds += 0.2
        assert not one.leads()
        assert await one.prove()
        assert one.leads()


async def test_a_database_that_is_away_is_told_and_nobody_leads(postgres: Any, plain_database: str) -> None:
    async with candidate(plain_database) as one:
        assert await one.stand()
        postgres.stop()
        try:
            assert not await one.prove()
            assert not one.leads()
            with pytest.raises(DatabaseAway):
                await one.stand()
        finally:
            postgres.start()
        assert await one.stand()
        assert await one.prove()


async def test_a_wrong_database_is_no_outage(database: str) -> None:
    async with candidate(database.rpartition("/")[0] + "/no_such_database") as one:
        with pytest.raises((DatabaseRefused, DatabaseAway)):
            await one.stand()
        assert not one.leads()
