"""Positions and rows in one transaction, and the rows that a database refuses."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.candle import Bar
from schemas.errors import Reason
from sinks import candles
from sinks.database import Connection
from sinks.offsets import Move, OffsetSink, PositionsMovedError, Stored
from sinks.transaction import Writer
from tests.unit.sinks.bars import bar

pytestmark = pytest.mark.integration

TP = ("md.trades.v1", 0)
OFFSETS = OffsetSink("candles", "cluster-1")
WRITER = Writer(OFFSETS, candles.ranked(()))

#: a rule of this database alone: bars of these symbols pass our contract and are refused here
GUARD = """
    create function no_bad_symbols() returns trigger language plpgsql as $$
    begin
        if new.symbol like 'BAD%' then
            raise exception 'the symbol % is not welcome', new.symbol using errcode = 'check_violation';
        end if;
        if new.symbol like 'ODD%' then
            raise exception 'the symbol % does not fit', new.symbol using errcode = '22003';
        end if;
        return new;
    end $$;
    create trigger no_bad_symbols before insert on candles_intraday
    for each row execute function no_bad_symbols();
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url) as connection:
        candles.prepare(connection)
        connection.execute(GUARD)
        connection.commit()
        OFFSETS.load(connection, {TP: Stored(10, 10, None)})
        yield connection


def symbols(connection: Connection) -> list[str]:
    rows = connection.execute("select symbol from candles_intraday order by symbol").fetchall()
    connection.commit()
    return [symbol for (symbol,) in rows]


def position(connection: Connection) -> int:
    return OFFSETS.all(connection)[TP].next_offset


def test_rows_and_position_are_stored_together(connection):
    WRITER.store(connection, [bar(), bar(symbol="MSFT")], {TP: Move(10, 15)})
    connection.rollback()  # it has committed already
    assert (symbols(connection), position(connection)) == (["AAPL", "MSFT"], 15)


def test_a_position_moves_without_rows_too(connection):
    WRITER.store(connection, [], {TP: Move(10, 15, 15, b"state")})
    connection.rollback()
    assert OFFSETS.all(connection) == {TP: Stored(15, 15, b"state")}


def test_a_lost_swap_stores_no_row(connection):
    with pytest.raises(PositionsMovedError):
        WRITER.store(connection, [bar()], {TP: Move(11, 15)})
    connection.commit()
    assert (symbols(connection), position(connection)) == ([], 10)


def test_a_refused_row_moves_no_position(connection):
    with pytest.raises(psycopg.errors.CheckViolation):
        WRITER.store(connection, [bar(), bar(symbol="BAD")], {TP: Move(10, 15)})
    connection.rollback()
    assert (symbols(connection), position(connection)) == ([], 10)


def test_the_refused_are_told_with_the_reason_and_the_words_of_the_database(connection):
    bars = [bar(), bar(symbol="BAD1"), bar(symbol="MSFT"), bar(symbol="ODD1"), bar(symbol="NUL\0")]
    found = {r.row.symbol: (r.reason, r.detail) for r in WRITER.refused(connection, bars)}
    assert found.pop("NUL\0")[0] is Reason.SINK_DATA
    assert found == {
        "BAD1": (Reason.SINK_CONSTRAINT, "the symbol BAD1 is not welcome"),
        "ODD1": (Reason.SINK_DATA, "the symbol ODD1 does not fit"),
    }
    assert symbols(connection) == [], "looking for them stores nothing"
    assert position(connection) == 10


def test_a_constraint_of_the_table_itself(connection):
    upside_down = bar(symbol="MSFT", low=12.5, high=12.0)
    assert [r.row for r in WRITER.refused(connection, [bar(), upside_down])] == [upside_down]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.booleans(), max_size=70))
def test_exactly_the_bad_ones_are_found_and_the_rest_can_be_stored(connection, bad):
    connection.execute("truncate candles_intraday")
    OFFSETS.reset(connection, {TP: Stored(10, 10, None)})
    bars = [bar(symbol=f"{'BAD' if is_bad else 'GOOD'}{i}") for i, is_bad in enumerate(bad)]
    refused = {r.row.id for r in WRITER.refused(connection, bars)}
    assert refused == {b.id for b in bars if b.symbol.startswith("BAD")}
    rest: list[Bar] = [b for b in bars if b.id not in refused]
    WRITER.store(connection, rest, {TP: Move(10, 11)})
    assert symbols(connection) == sorted(b.symbol for b in rest)


def test_finding_one_among_many_takes_few_attempts(connection, monkeypatch):
    attempts = 0
    write = candles.write

    def counted(*args):
        nonlocal attempts
        attempts += 1
        write(*args)

    monkeypatch.setattr(candles, "write", counted)
    bars = [bar(symbol=f"GOOD{i}") for i in range(1023)] + [bar(symbol="BAD")]
    assert [r.row.symbol for r in WRITER.refused(connection, bars)] == ["BAD"]
    assert attempts <= 2 * 10 + 1


def test_another_error_while_looking_is_passed_on(connection):
    connection.execute("alter table candles_intraday rename to elsewhere")
    connection.commit()
    with pytest.raises(psycopg.errors.UndefinedTable):
        WRITER.refused(connection, [bar()])


def test_nobody_to_refuse(connection):
    assert WRITER.refused(connection, []) == []
