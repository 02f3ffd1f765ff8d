"""A file of trades, CSV or NDJSON and of any length, to encoded records: chunk by chunk, in order."""

from __future__ import annotations

import csv
import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import msgspec

from ops.tick_columns import FIELDS, REQUIRED, TIMES, BadCellError, Columns
from schemas.dead_letter import message_of
from schemas.decode import decode_chunk
from schemas.trade import Trade

CSV = "csv"
NDJSON = "ndjson"
SUFFIXES = {".csv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON}

BLOCK_BYTES = 1 << 18
CHUNK_ROWS = 2_000
#: of a longer line the middle is dropped: no trade is so long, and memory is bounded
MAX_LINE_BYTES = 1 << 20
#: how often a read that waits for input looks whether it should stop
POLL_S = 0.1

_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class BadRow(NamedTuple):
    """A row that is not sent."""

    line: int
    reason: str
    """The field, and what is wrong with it."""


class Row(NamedTuple):
    """A record as it will be sent; shaped for `schemas.decode`."""

    value: bytes
    timestamp: int
    """Milliseconds since the epoch: what the future is measured against."""
    line: int


@dataclass(slots=True)
class Chunk:
    """Consecutive rows of the file."""

    trades: list[Trade] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    """``values[i]`` is ``trades[i]``, encoded."""
    bad: list[BadRow] = field(default_factory=list)
    waiting: bool = False
    """All input there was has been read; more may come."""


class Lines:
    """The lines of a file descriptor, without waiting for a block to fill."""

    def __init__(self, fd: int, stopped: threading.Event) -> None:
        """Take an open descriptor, not owned, and what ends the input early."""
        self._fd = fd
        self._stopped = stopped
        self.bytes_read = 0
        self.total = 0
        """Lines given out so far: when the reader has seen them all, its next step may wait."""

    def blocks(self) -> Iterator[list[bytes]]:
        """Yield lists of lines, without their ends."""
        rest = b""
        while block := self._read():
            if not self.bytes_read:
                block = block.removeprefix(b"\xef\xbb\xbf")
            self.bytes_read += len(block)
            *lines, rest = (rest + block).split(b"\n")
            rest = rest[:MAX_LINE_BYTES]
            self.total += len(lines)
            yield lines
        if rest and not self._stopped.is_set():
            self.total += 1
            yield [rest]

    def _read(self) -> bytes:
        while not self._stopped.is_set():
            if select.select([self._fd], [], [], POLL_S)[0]:
                return os.read(self._fd, BLOCK_BYTES)
        return b""


class TicksFile:
    """Reads, maps, encodes and validates; what is not a trade by the contract is reported, not raised."""

    def __init__(
        self,
        lines: Lines,
        columns: Columns,
        *,
        form: str,
        chunk_rows: int = CHUNK_ROWS,
        limit: int | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            lines: the input.
            columns: what becomes which field.
            form: `csv` or `ndjson`.
            chunk_rows: at most so many rows a chunk.
            limit: of rows altogether; None for all.
        """
        self.lines = lines
        self.columns = columns
        self.ignored: list[str] = []
        """Columns that nothing is read from."""
        self.rows = 0
        self._form = form
        self._chunk_rows = chunk_rows
        self._limit = limit

    def chunks(self, now_ms: Iterator[int]) -> Iterator[Chunk]:
        """Yield the rows, validated as of the next of ``now_ms`` (milliseconds since the epoch) per chunk.

        Raises:
            MappingError: the file has not the columns that were asked for.
        """
        encoded = self._csv() if self._form == CSV else self._ndjson()
        rows: list[Row] = []
        bad: list[BadRow] = []
        now = next(now_ms)
        while self._limit is None or self.rows < self._limit:
            item = next(encoded, None)
            if item is None:
                break
            line, value = item
            if isinstance(value, str):
                bad.append(BadRow(line, value))
            elif value is not None:
                rows.append(Row(value, now, line))
            self.rows += value is not None
            waiting = line >= self.lines.total
            if (rows or bad) and (waiting or len(rows) + len(bad) >= self._chunk_rows):
                yield _validated(rows, bad, waiting=waiting)
                rows, bad, now = [], [], next(now_ms)
        if rows or bad:
            yield _validated(rows, bad, waiting=False)

    def _csv(self) -> Iterator[tuple[int, bytes | str | None]]:
        """Yield (line, encoded trade or what is wrong with it or None for a blank line)."""
        reader = csv.reader(_decoded(self.lines.blocks()))
        header = next(reader, None)
        if header is None:
            return
        plan = self.columns.plan(header)
        used = {index for _, index, _ in plan}
        self.ignored = [column for index, column in enumerate(header) if index not in used]
        fixed, width = self.columns.fixed, len(header)
        while True:
            try:
                for cells in reader:
                    if len(cells) == width:
                        try:
                            trade = fixed | {name: read(cells[at]) for name, at, read in plan if cells[at]}
                            yield reader.line_num, _encode(trade)
                        except BadCellError as exc:
                            yield reader.line_num, str(exc)
                    elif cells:
                        yield reader.line_num, f"row: {len(cells)} cells, the header has {width}"
                    else:
                        yield reader.line_num, None
            except csv.Error as exc:  # the reader goes on with the next row
                yield reader.line_num, f"row: {exc}"
            else:
                return

    def _ndjson(self) -> Iterator[tuple[int, bytes | str | None]]:
        seen: set[str] = set()
        sources = {name: self.columns.source(name) for name in FIELDS}
        used = {column: name for name, column in sources.items() if column is not None}
        for line, text in enumerate(chain.from_iterable(self.lines.blocks()), 1):
            if not text or text.isspace():
                yield line, None
                continue
            try:
                found = _object(text)
                trade = dict(self.columns.fixed)
                for key, raw in found.items():
                    name = used.get(key)
                    if name is not None:
                        if (value := self._value(name, bytes(raw))) is not None:
                            trade[name] = value
                    elif key not in seen:
                        seen.add(key)
                        self.ignored.append(key)
                missing = [name for name in REQUIRED if name not in trade]
                if missing:
                    yield line, f"{missing[0]}: no value for {sources[missing[0]]!r}"
                else:
                    yield line, _encode(trade)
            except BadCellError as exc:
                yield line, str(exc)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
                yield line, f"value: {exc}"

    def _value(self, name: str, raw: bytes) -> object:
        """Return what a JSON value gives for a field; its text as it stands where it fits already."""
        if raw == b"null":
            return None
        quoted, number = raw.startswith(b'"'), raw[0] in b"-0123456789"
        if name in TIMES and (quoted or number):
            return self.columns.reader(name)(_text(raw) if quoted else raw.decode())
        if quoted:
            read = self.columns.reader(name)
            return msgspec.Raw(raw) if read is str else read(_text(raw))
        if number and self.columns.reader(name) is str:
            return raw.decode()
        return msgspec.Raw(raw)


def _decoded(blocks: Iterator[list[bytes]]) -> Iterator[str]:
    """Return lines of text with their ends; what is not UTF-8 becomes a character that no field allows."""
    for lines in blocks:
        if lines:
            # with the end: inside quotes it is part of the cell
            yield from (line + "\n" for line in b"\n".join(lines).decode(errors="replace").split("\n"))


def _validated(rows: list[Row], bad: list[BadRow], *, waiting: bool) -> Chunk:
    decoded = decode_chunk(rows)
    bad += [BadRow(row.line, message_of(poison)) for row, poison in decoded.rejects]
    return Chunk(decoded.trades, [row.value for row in decoded.records], sorted(bad), waiting)
