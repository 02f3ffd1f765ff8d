"""A book as bytes: what a successor needs to go on folding as if nothing had happened.

Layout: one byte version, the offset from which every open bar can be folded again (int64), the watermark
(int64), then MessagePack. The first 17 bytes never change their meaning: a version that cannot read the
rest still folds again from that offset, and knows which bars had closed and can no longer be revised.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import msgspec

from domain.candles import SIZE_UNITS, Book, Draft, Key, Patience

VERSION = 2
#: no state: reading starts amid the log, what came before is not known
JUMPED = 0
_HEAD = struct.Struct(">Bqq")

#: units as text: a minute of a coin with nine zeros can exceed 64 bits
_Packed = dict[str, list[int | float | str]]
#: start, provider, feed, first offset, drafts
_Window = tuple[int, str, str, int, _Packed]
_encode = msgspec.msgpack.Encoder().encode
#: lateness, horizon, floor, jumped, open windows, closed windows
_Body = tuple[int, int, int, bool, list[_Window], list[msgspec.Raw]]
_decode_body = msgspec.msgpack.Decoder(_Body).decode
_decode_window = msgspec.msgpack.Decoder(_Window).decode


@dataclass(frozen=True, slots=True)
class Restored:
    """A book and the offset at which it stands."""

    book: Book
    offset: int
    exact: bool
    """False: the state could not be read; bars closed before cannot be revised."""


class Snapshots:
    """Dumps one book again and again; windows that have closed are encoded once."""

    def __init__(self) -> None:
        """Start with nothing encoded."""
        self._closed: dict[Key, tuple[int, bytes]] = {}

    def dump(self, book: Book, folded: int) -> bytes:
        """Return the state of a book that has folded every record below offset ``folded``."""
        closed = {key: self._closed_window(key, window) for key, window in book.closed.items()}
        self._closed = closed
        body = (
            book.patience.lateness_ns,
            book.patience.horizon_ns,
            book.floor,
            book.jumped,
            [_pack(key, window, book.first[key]) for key, window in book.windows.items()],
            [msgspec.Raw(encoded) for _, encoded in closed.values()],
        )
        return _HEAD.pack(VERSION, book.resume_offset(folded), book.watermark) + _encode(body)

    def _closed_window(self, key: Key, window: dict[str, Draft]) -> tuple[int, bytes]:
        # revisions only ever grow, so their sum tells whether the window is the one encoded last time
        revisions = sum(int(draft[-1]) for draft in window.values())
        known = self._closed.get(key)
        if known is not None and known[0] == revisions:
            return known
        return revisions, _encode(_pack(key, window, 0))


def jumped(offset: int) -> bytes:
    """Return the state of a partition that is read from amid its log."""
    return _HEAD.pack(JUMPED, offset, 0)


def restore(state: bytes | None, offset: int, patience: Patience, stored: int | None = None) -> Restored:
    """Return the book to go on with.

    Args:
        state: what `Snapshots.dump` gave, of this or another version; None if there was none.
        offset: where the state was taken.
        patience: of now; it may differ from that of then.
        stored: records below it were folded before; the patience of then counts for them. None: ``offset``.
    """
    if state is None:
        return Restored(Book(patience), offset, exact=True)
    version, fallback, watermark = _HEAD.unpack_from(state)
    if version == JUMPED:
        return Restored(Book(patience, jumped=True), offset, exact=True)
    if version != VERSION:
        return Restored(Book(patience, watermark=watermark), fallback, exact=False)
    lateness, horizon, floor, amid, windows, closed = _decode_body(memoryview(state)[_HEAD.size :])
    book = Book(Patience(lateness, horizon), watermark=watermark, jumped=amid)
    book.floor = floor
    for window in windows:
        book.open_window(window[:3], window[3], _unpack(window))
    for raw in closed:
        window = _decode_window(raw)
        book.closed[window[:3]] = _unpack(window)
    book.change(patience, offset if stored is None else stored)
    return Restored(book, offset, exact=True)


def _pack(key: Key, window: dict[str, Draft], first: int) -> _Window:
    packed: _Packed = {}
    for symbol, draft in window.items():
        values: list[int | float | str] = [*draft]
        values[SIZE_UNITS] = str(draft[SIZE_UNITS])
        packed[symbol] = values
    return (*key, first, packed)


def _unpack(window: _Window) -> dict[str, Draft]:
    drafts: dict[str, Draft] = {}
    for symbol, values in window[4].items():
        values[SIZE_UNITS] = int(values[SIZE_UNITS])
        drafts[symbol] = [v for v in values if not isinstance(v, str)]
    return drafts
