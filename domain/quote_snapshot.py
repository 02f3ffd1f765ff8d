"""The state of quotes as bytes: what a successor needs to go on as if nothing had happened.

Layout: one byte version, the offset at which the state stands (int64), then MessagePack. The filter of
repeats is not in it: it is filled again from the records before that offset.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import astuple

from domain.latest import GIVEN, QUOTE, SHOWN, SINCE, Latest
from domain.quotes import POSITION_RESET, STATE_LOST, QuoteBook, Words
from domain.snapshot import JUMPED
from schemas.quote import L1Quote

#: another one wherever the fields of `L1Quote`, or their order, are others
VERSION = 2
_HEAD = struct.Struct(">Bq")

_Price = float | None
_Quote = tuple[
    str,
    int,
    int,
    str,
    _Price,
    _Price,
    _Price,
    _Price,
    str,
    str,
    str,
    str,
    str,
    int,
    tuple[str, ...],
    int | None,
]
#: highest ts_event, [number of the symbol's last quote], number of the source
_Source = tuple[int, list[int], int]
#: fields of the quote in their order, LogAppendTime, that of the one last given out, whether the broker may
#: not have it yet
_View = tuple[_Quote, int, int, bool]
#: base, now_ms at the resume offset, sources, views
_Body = tuple[int, int, list[tuple[Words, _Source]], list[_View]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


@dataclass(frozen=True, slots=True)
class Restored:
    """State, and where to read from."""

    book: QuoteBook
    latest: Latest
    offset: int
    """`QuoteBook.warm` takes from here up to ``stands_at``, then `QuoteBook.fold`. What retention has taken
    of the former is too old to matter."""


def dump(book: QuoteBook, latest: Latest, folded: int) -> bytes:
    """Return the state of a book and a view that have folded every record below offset ``folded``.

    It is to be stored with ``resume_offset = book.resume_offset(folded)``.
    """
    views = [
        (astuple(view[QUOTE]), view[SINCE], view[GIVEN], view[QUOTE].n != view[SHOWN])
        for view in latest.views.values()
    ]
    _, now_ms = book.resume_point(folded)
    return _HEAD.pack(VERSION, folded) + _encode((book.base, now_ms, [*book.sources.items()], views))


def restore(state: bytes | None, resume_offset: int, stored: int, places: Sequence[str]) -> Restored:
    """Return what to go on with.

    Args:
        state: what `dump` gave, of this or another version; or `domain.snapshot.jumped`; None if there was
            none.
        resume_offset: as stored with it.
        stored: everything below is stored (``next_offset``).
        places: POLICY_QUOTES_L1, the best provider first.
    """
    latest = Latest(places)
    if state is None:
        return Restored(QuoteBook(stands_at=resume_offset), latest, resume_offset)
    version, stands_at = _HEAD.unpack_from(state)
    if version == JUMPED:
        return Restored(QuoteBook(stands_at=stored, base=stored, announce=POSITION_RESET), latest, stored)
    if version != VERSION:
        return Restored(QuoteBook(stands_at=stored, base=stored, announce=STATE_LOST), latest, resume_offset)
    base, now_ms, sources, views = _decode(memoryview(state)[_HEAD.size :])
    book = QuoteBook(stands_at=stands_at, base=base, now_ms=now_ms)
    for words, (highest, counter, _) in sources:
        book.know(words, highest, counter[0])
    for quote, since_ms, given_ms, waits in views:
        latest.know(L1Quote(*quote), since_ms, given_ms, waits=waits)
    return Restored(book, latest, resume_offset)
