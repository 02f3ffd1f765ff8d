"""A real TimescaleDB without Docker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from sandbox import timescale_tree
from sandbox.account import server_account
from sandbox.postgres_server import DATABASE, PostgresServer

# Of the Community edition; under the Apache one it fails, and leaves an error in the log at every start.
NO_HISTORY_JOB = """
    update _timescaledb_config.bgw_job set scheduled = false
    where proc_name = 'policy_job_stat_history_retention'
      and current_setting('timescaledb.license') = 'apache'
"""


class LocalTimescale(PostgresServer):
    """TimescaleDB (Apache edition) on PostgreSQL 17 in a folder; needs apt of a Debian the first time.

    ::

        with LocalTimescale(folder) as timescale:
            timescale.url  # postgresql://postgres:...@127.0.0.1:port/market
    """

    title: ClassVar[str] = "TimescaleDB"
    settings: ClassVar[Mapping[str, str]] = {
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        # one scheduler for each database that has the extension
        "max_worker_processes": "32",
    }

    @staticmethod
    def version() -> str:
        """Return the versions in the cache, as in 2.19.3 (PostgreSQL 17.12)."""
        return timescale_tree.version(timescale_tree.timescale_tree(lambda _: None, server_account()))

    @override
    def _binaries(self) -> Path:
        return timescale_tree.timescale_tree(self._say, server_account()) / timescale_tree.BINARIES

    @override
    def _set_up(self) -> None:
        super()._set_up()
        with self._connect(DATABASE) as connection:
            connection.execute("set client_min_messages = warning")
            connection.execute("create extension if not exists timescaledb")
            connection.execute(NO_HISTORY_JOB)
