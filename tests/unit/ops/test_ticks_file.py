"""Files of trades: every row in order, once, with its line; nothing changed on the way."""

from __future__ import annotations

import csv
import io
import os
import threading
from itertools import repeat
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import ticks_file as module
from ops.tick_columns import Columns, MappingError
from ops.ticks_file import BadRow, Lines, TicksFile
from tests.unit.ops.files import NOW_MS, TS, chunks, row, ticks_file

HEADER = b"symbol,ts_event,price,size,provider,venue\n"


def read(file: TicksFile) -> tuple[list[dict[str, object]], list[BadRow]]:
    """Return all values and all bad rows."""
    values, bad = [], []
    for chunk in chunks(file):
        assert [t.ts_event for t in chunk.trades] == [
            msgspec.json.decode(v)["ts_event"] for v in chunk.values
        ]
        values += [msgspec.json.decode(value) for value in chunk.values]
        bad += chunk.bad
    return values, bad


def good(n: int = 0, **changes: Any) -> dict[str, Any]:
    return dict(msgspec.json.decode(row(n, **changes)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kinds=st.lists(st.sampled_from("gbn"), max_size=60),
    block=st.integers(1, 400),
    chunk_rows=st.integers(1, 20),
    ended=st.booleans(),
)
def test_any_mixture_cut_into_any_blocks_gives_each_row_once_with_its_line(
    tmp_path_factory, kinds, block, chunk_rows, ended
):
    lines = ({"g": row(n), "b": row(n, price=-1), "n": b"  "}[kind] for n, kind in enumerate(kinds))
    content = b"\n".join(lines)
    content += b"\n" if ended and content else b""
    path = tmp_path_factory.mktemp("ticks") / "f.ndjson"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        file = ticks_file(path, content, chunk_rows=chunk_rows)
        values, bad = read(file)
    assert values == [good(n) for n, kind in enumerate(kinds) if kind == "g"]
    assert [b.line for b in bad] == [n for n, kind in enumerate(kinds, 1) if kind == "b"]
    assert file.rows == len(kinds) - kinds.count("n")
    assert file.lines.bytes_read == len(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), max_size=9
    ),
    st.integers(1, 64),
)
def test_cells_of_a_csv_are_read_as_the_csv_module_wrote_them(tmp_path_factory, notes, block):
    """Whatever stands in a cell nobody asked for, the others keep their rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["note", "symbol", "ts_event", "price", "size", "provider"])
    for n, note in enumerate(notes):
        writer.writerow([note, "AAPL", TS + n, "10.5", "1.0", "a"])
    path = tmp_path_factory.mktemp("ticks") / "f.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        values, bad = read(ticks_file(path, text.getvalue().encode(), form="csv"))
    assert (values, bad) == ([good(n) for n in range(len(notes))], [])


def test_a_line_break_inside_quotes_is_part_of_the_cell(tmp_path):
    content = HEADER + f'AAPL,{TS},10,1,a,"X\nY"\nAAPL,{TS},10,1,a,X\n'.encode()
    values, bad = read(ticks_file(tmp_path / "f.csv", content, form="csv"))
    assert [v["venue"] for v in values] == ["X"]
    assert [(b.line, b.reason.partition(":")[0]) for b in bad] == [(3, "venue")]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path):
    content = b"\xef\xbb\xbf" + HEADER + f"AAPL,{TS},10,1,a,X\n\nAAPL,{TS},10,1,a,\n".encode()
    values, bad = read(ticks_file(tmp_path / "f.csv", content.replace(b"\n", b"\r\n"), form="csv"))
    assert bad == []
    assert [v.get("venue") for v in values] == ["X", None]
    values, bad = read(ticks_file(tmp_path / "f.ndjson", row().replace(b"\n", b"") + b"\r\n" + row()))
    assert (len(values), bad) == (2, [])


def test_an_empty_cell_is_no_value(tmp_path):
    content = HEADER + f"AAPL,{TS},,1,a,X\n".encode()
    _, (bad,) = read(ticks_file(tmp_path / "f.csv", content, form="csv"))
    assert (bad.line, bad.reason) == (2, "price: Field required")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("AAPL,{ts},10,1,a", "row: 5 cells, the header has 6"),
        ("AAPL,{ts},10,1,a,X,Y", "row: 7 cells, the header has 6"),
        ("AAPL,noon,10,1,a,X", "ts_event: no time between 1990 and 2100"),
        ("aapl,{ts},10,1,a,X", "symbol: String should match pattern"),
        ("AAPL,{ts},nan,1,a,X", "price: "),
        ("AAPL,{ts},10,0,a,X", "size: "),
        ("AAPL,{late},10,1,a,X", "ts_event: 100 s after the broker received it, 60 s allowed"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_by_its_field(tmp_path, cells, reason):
    late = (NOW_MS + 100_000) * 1_000_000
    content = HEADER + cells.format(ts=TS, late=late).encode() + f"\nAAPL,{TS},10,1,a,X\n".encode()
    values, (bad,) = read(ticks_file(tmp_path / "f.csv", content, form="csv"))
    assert bad.line == 2
    assert bad.reason.startswith(reason)
    assert len(values) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "value: "),
        (b"[]", "value: "),
        (b"\xff\xfe", "value: "),
        (b'{"symbol": "AAPL"}', "ts_event: no value for 'ts_event'"),
        (b"[" * 100_000, "value: "),
        (row(price="cheap"), "price: "),
        (row(price=True), "price: "),
        (row(symbol=None), "symbol: no value for 'symbol'"),
        (row(seq=1.5), "seq: "),
        (row(ts_event={"a": 1}), "ts_event: "),
    ],
)
def test_what_is_wrong_with_a_line_of_json_is_told(tmp_path, line, reason):
    values, (bad,) = read(ticks_file(tmp_path / "f.ndjson", line + b"\n" + row()))
    assert bad.line == 1
    assert bad.reason.startswith(reason)
    assert len(values) == 1


def test_json_that_says_a_value_in_another_way_is_read(tmp_path):
    line = b'{"s":"AAPL","t":"2025-11-10T17:23:53.000000001Z","p":"10.50","size":1,"venue":7,"x":[{}]}'
    columns = Columns({"symbol": "s", "ts_event": "t", "price": "p"}, {"provider": "a"})
    file = ticks_file(tmp_path / "f.ndjson", line, columns=columns)
    assert read(file) == ([good(1, venue="7", price=10.5)], [])
    assert file.ignored == ["x"]


def test_numbers_of_json_keep_their_digits(tmp_path):
    line = row().replace(b"10.5", b"0.1000000000000000055511151231257827").replace(b"1.0", b"1e-9")
    (chunk,) = chunks(ticks_file(tmp_path / "f.ndjson", line))
    assert (chunk.trades[0].price, chunk.trades[0].size) == (0.1, 1e-9)


def test_columns_nobody_reads_are_named(tmp_path):
    content = b"symbol,side,ts_event,price,size,provider,px\n" + f"AAPL,b,{TS},10,1,a,9\n".encode()
    file = ticks_file(tmp_path / "f.csv", content, form="csv")
    read(file)
    assert file.ignored == ["side", "px"]


def test_a_missing_column_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(MappingError, match="nothing gives price"):
        read(ticks_file(tmp_path / "f.csv", b"symbol,ts_event,size,provider\n", form="csv"))


def test_an_empty_file_has_no_rows(tmp_path):
    for form in ("csv", "ndjson"):
        file = ticks_file(tmp_path / f"f.{form}", b"", form=form)
        assert (read(file), file.rows) == (([], []), 0)


@pytest.mark.parametrize("limit", [0, 1, 3, 99])
def test_a_limit_counts_good_and_bad_rows_but_no_blank_lines(tmp_path, limit):
    content = b"\n".join([row(0), b"", row(1, price=-1), row(2), row(3)])
    file = ticks_file(tmp_path / "f.ndjson", content, limit=limit)
    values, bad = read(file)
    assert len(values) + len(bad) == file.rows == min(limit, 4)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1_000)
    monkeypatch.setattr(module, "BLOCK_BYTES", 100)
    file = ticks_file(tmp_path / "f.ndjson", row(0) + b"\n" + b"x" * 50_000 + b"\n" + row(1))
    longest = 0
    for lines in file.lines.blocks():
        longest = max([longest, *map(len, lines)])
    assert longest <= 1_200


def test_a_pipe_gives_its_rows_before_it_ends_and_says_that_it_waits():
    readable, writable = os.pipe()
    stopped = threading.Event()
    file = TicksFile(Lines(readable, stopped), Columns(), form="ndjson")
    rows = file.chunks(repeat(NOW_MS))
    os.write(writable, row(0) + b"\n" + row(1) + b"\n" + row(2)[:20])
    first = next(rows)
    assert (len(first.trades), first.waiting) == (2, True)
    os.write(writable, row(2)[20:] + b"\n")
    assert len(next(rows).trades) == 1
    stopped.set()
    assert next(rows, None) is None, "told to stop, it does not wait for more"
    os.close(writable)
    os.close(readable)
