"""Servers that somebody else runs and lends to the tests."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

KAFKA = "TAPEFLOW_TEST_KAFKA"
TIMESCALE = "TAPEFLOW_TEST_TIMESCALE"


class GivenServer:
    """A server that is not ours to stop."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def start(self) -> NoReturn:
        self._refuse()

    def stop(self) -> NoReturn:
        self._refuse()

    def kill(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise AssertionError(
            f"this test stops its server, and {self._variable} names one that is not its own: unset it"
        )


class GivenKafka(GivenServer):
    """A broker by its address."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(KAFKA)
        self.bootstrap = bootstrap


class GivenPostgres(GivenServer):
    """A database server by the URL of a database on it; its user may create databases."""

    def __init__(self, url: str) -> None:
        super().__init__(TIMESCALE)
        self.url = url
        self._created: list[str] = []

    def database_url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path="/" + quote(name, safe="")))

    def create_database(self, name: str) -> str:
        self._execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        self._created.append(name)
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def leave(self) -> None:
        """Drop every database that was created here."""
        for name in self._created:
            self.drop_database(name)

    def _execute(self, query: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(query)
