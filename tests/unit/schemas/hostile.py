"""Bytes to decode: valid trades, damaged ones, and whatever else a producer may send."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.base import EARLIEST_NS, LATEST_NS
from tests.poison import HARMLESS, LARGE, POISON, TS, a_clock, a_tick


class Record(msgspec.Struct):
    """What decoding needs of a consumed record."""

    value: bytes | None
    timestamp: int = TS // 1_000_000
    """Milliseconds; by default everything is received as it happens."""
    offset: int = 0


def text(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


NANOS = st.sampled_from((EARLIEST_NS, TS, LATEST_NS - 1)) | st.integers(EARLIEST_NS, LATEST_NS - 1)
NAMES = st.sampled_from(("polygon", "sip", "a", "z" * 32)) | text("[a-z][a-z0-9_-]{0,31}")
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "symbol": st.sampled_from(("AAPL", "XBT/USDT", "^GSPC")) | text(r"[A-Z0-9^][A-Z0-9.:/=^+_#$&-]{0,31}"),
    "ts_event": NANOS,
    "price": st.floats(5e-324, 1e12) | st.integers(1, 10**12),
    "size": st.floats(1e-9, 1e12) | st.integers(1, 10**12),
    "provider": NAMES,
}
_MORE: dict[str, st.SearchStrategy[Any]] = {
    "feed": st.just("") | NAMES,
    "venue": text("[A-Za-z0-9._-]{0,16}"),
    "conditions": text("[ -~]{0,16}"),
    "tape": text("[A-Z]?"),
    "seq": st.integers(0, 2**63 - 1),
    "trade_id": text("[!-~]{0,64}"),
    "ts_recv": st.none() | NANOS,
}
#: every combination of fields that a trade may have
TICKS = st.fixed_dictionaries(_FIELDS, optional=_MORE)
CLOCKS = st.fixed_dictionaries(
    {"type": st.just("clock"), "ts_event": NANOS, "provider": NAMES}, optional={"feed": _MORE["feed"]}
)

WORDS = st.sampled_from(("", "clock", "AAPL\n", "é", "\0", "😀", "a" * 65, "polygon ")) | st.text(max_size=20)
_NUMBERS = (
    st.sampled_from(
        (0, -0.0, -1, 1e-9, 9.999e-10, 1e12, 1.0000001e12, 2**63, 2**64, 10**400, EARLIEST_NS - 1)
    )
    | st.integers()
    | st.floats()
)
_SCALARS = st.none() | st.booleans() | _NUMBERS | WORDS
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from((*_FIELDS, *_MORE, "type")) | WORDS


def _dump(pairs: list[tuple[str, Any]], *, ascii_only: bool) -> bytes:
    """Return an object of these pairs, of which several may have one name; half surrogates are escaped."""
    text = ",".join(f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=ascii_only)}" for k, v in pairs)
    return f"{{{text}}}".encode("utf-8", "replace")


@st.composite
def damaged(
    draw: st.DrawFn,
    good: st.SearchStrategy[dict[str, Any]] = TICKS | CLOCKS,
    keys: st.SearchStrategy[str] = KEYS,
) -> bytes:
    """A good record with fields replaced, added, doubled, dropped or in another order."""
    pairs = list(draw(good).items())
    for _ in range(draw(st.integers(0, 2))):
        pairs.insert(draw(st.integers(0, len(pairs))), (draw(keys), draw(VALUES)))
    if draw(st.booleans()):
        i = draw(st.integers(0, len(pairs) - 1))
        pairs[i] = (pairs[i][0], draw(VALUES))
    if draw(st.integers(0, 3)) == 0:
        del pairs[draw(st.integers(0, len(pairs) - 1))]
    return _dump(pairs, ascii_only=draw(st.booleans()))


_NEARLY_GOOD = damaged() | st.sampled_from([h.value for h in HARMLESS if len(h.value) < 1_000])


@st.composite
def garbled(draw: st.DrawFn, values: st.SearchStrategy[bytes] = _NEARLY_GOOD) -> bytes:
    """Bytes with a few cut out, put in or changed."""
    value = draw(values)
    at = draw(st.integers(0, len(value)))
    cut = draw(st.integers(0, 3))
    pieces = (b'"', b"\\", b"{", b"}", b",", b":", b"0", b"-", b"e", b".", b"NaN", b"\\ud800", b"\xff", b"\n")
    return value[:at] + draw(st.sampled_from(pieces) | st.binary(max_size=2)) + value[at + cut :]


#: anything at all, most of it near a good record
ANYTHING = (
    TICKS.map(lambda tick: json.dumps(tick).encode())
    | CLOCKS.map(lambda clock: json.dumps(clock).encode())
    | damaged()
    | garbled()
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=40)
)

#: for chunks: records whose verdicts are known to differ, so that slices have something to get wrong
_SMALL = [specimen.value for specimen in POISON if specimen.size < LARGE]
CHUNK_VALUES = (
    st.integers(-70, 70).map(lambda s: a_tick(ts_event=TS + s * 1_000_000_000))
    | st.integers(-70, 70).map(lambda s: a_clock(ts_event=TS + s * 1_000_000_000))
    | st.sampled_from(_SMALL)
)
RECORDS = st.builds(Record, CHUNK_VALUES, st.integers(-5_000, 5_000).map(lambda ms: TS // 1_000_000 + ms))
