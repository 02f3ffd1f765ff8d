"""Which column becomes which field, and what cannot be asked for."""

from __future__ import annotations

import pytest

from ops.tick_columns import BadCellError, Columns, MappingError

HEADER = ["symbol", "ts_event", "price", "size", "provider"]


def test_columns_named_like_fields_are_read_by_themselves():
    plan = Columns().plan([*HEADER, "side", "venue"])
    assert [(name, at) for name, at, _ in plan] == [
        ("symbol", 0),
        ("ts_event", 1),
        ("price", 2),
        ("size", 3),
        ("provider", 4),
        ("venue", 6),
    ]


def test_a_mapped_column_stands_for_the_field_and_its_namesake_does_not():
    plan = Columns(mapped={"price": "last"}).plan([*HEADER, "last"])
    assert [at for name, at, _ in plan if name == "price"] == [5]


def test_a_constant_beats_a_column_of_its_name():
    columns = Columns(constants={"provider": "kraken"})
    assert "provider" not in [name for name, *_ in columns.plan(HEADER)]
    assert columns.fixed == {"provider": "kraken"}


@pytest.mark.parametrize(
    ("asked", "header", "complaint"),
    [
        ({"mapped": {"colour": "a"}}, HEADER, "'colour' is no field of a trade; there are symbol"),
        ({"constants": {"colour": "a"}}, HEADER, "'colour' is no field"),
        ({"mapped": {"venue": "a"}, "constants": {"venue": "b"}}, HEADER, "venue is given by --map and by"),
        ({"mapped": {"venue": "place"}}, HEADER, "--map venue=place: there is no such column; there are sym"),
        ({}, HEADER[:-1], "nothing gives provider: --map provider=COLUMN or --set provider=VALUE"),
        ({}, [*HEADER, "price"], "column 'price' is there 2 times"),
        ({}, [], "nothing gives symbol: .* there are none"),
        ({"constants": {"ts_event": "noon"}}, HEADER, "--set ts_event: no time between 1990 and 2100"),
        ({"constants": {"symbol": "aapl"}}, HEADER, "--set symbol: "),
        ({"constants": {"price": "-1"}}, HEADER, "--set price: "),
        ({"constants": {"price": "nan"}}, HEADER, "--set price: "),
        ({"constants": {"seq": "1.5"}}, HEADER, "--set seq: "),
    ],
)
def test_what_cannot_be_asked_for(asked, header, complaint):
    with pytest.raises(MappingError, match=complaint):
        Columns(**asked).plan(header)


def test_the_unit_is_that_of_the_first_time_that_tells():
    columns = Columns()
    read = columns.reader("ts_event")
    with pytest.raises(BadCellError, match="ts_event: no time between 1990 and 2100 in any of iso, s, ms"):
        read("5")
    assert read("1762795433123") == 1_762_795_433_123_000_000
    assert (columns.times["ts_event"].unit, columns.times["ts_event"].guessed) == ("ms", True)
    # from now on milliseconds, whatever it looks like: the contract then refuses it
    assert read("1762795433") == 1_762_795_433_000_000
    assert columns.times["ts_recv"].unit is None, "each column has its own"


def test_a_unit_that_is_said_is_not_guessed():
    columns = Columns(time_unit="ns")
    assert columns.reader("ts_event")("1762795433") == 1_762_795_433
    assert not columns.times["ts_event"].guessed
    with pytest.raises(BadCellError, match="ts_event: not a number: 'noon'"):
        columns.reader("ts_event")("noon")


def test_a_constant_time_does_not_decide_the_unit_of_a_column():
    columns = Columns(constants={"ts_event": "2025-11-10T17:23:53Z"})
    assert columns.fixed == {"ts_event": 1_762_795_433_000_000_000}
    assert columns.reader("ts_event")("1762795433") == 1_762_795_433_000_000_000


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("price", "10", 10.0),
        ("price", "1e3", 1000.0),
        ("price", " 10.5 ", 10.5),
        ("price", "1_0", "1_0"),
        ("price", "inf", "inf"),
        ("price", "1e999", "1e999"),
        ("price", "ten", "ten"),
        ("seq", "7", 7),
        ("seq", "-7", "-7"),
        ("seq", "٧", "٧"),  # noqa: RUF001
        ("seq", "9" * 20, "9" * 20),
        ("venue", "1", "1"),
    ],
)
def test_what_a_reader_cannot_read_it_leaves_to_the_contract(field, text, value):
    found = Columns().reader(field)(text)
    assert (found, type(found)) == (value, type(value))
