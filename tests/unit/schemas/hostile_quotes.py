"""Bytes to decode as quotes: valid ones, damaged ones, and whatever else a producer may send."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.poison import LARGE, TS, a_clock
from tests.quote_poison import HARMLESS_QUOTES, QUOTE_POISON, a_discontinuity, a_quote
from tests.unit.schemas.hostile import CLOCKS, NAMES, NANOS, VALUES, WORDS, Record, damaged, garbled, text

_SIDE = (
    st.none() | st.sampled_from((0, 0.0, -0.0, 5e-324, 1e12)) | st.floats(0, 1e12) | st.integers(0, 10**12)
)
_VENUE = text("[A-Za-z0-9._-]{0,16}")
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "symbol": st.sampled_from(("AAPL", "XBT/USDT", "^GSPC")) | text(r"[A-Z0-9^][A-Z0-9.:/=^+_#$&-]{0,31}"),
    "ts_event": NANOS,
    "provider": NAMES,
}
_MORE: dict[str, st.SearchStrategy[Any]] = {
    "bid": _SIDE,
    "bid_size": _SIDE,
    "ask": _SIDE,
    "ask_size": _SIDE,
    "feed": st.just("") | NAMES,
    "bid_venue": _VENUE,
    "ask_venue": _VENUE,
    "conditions": text("[ -~]{0,16}"),
    "tape": text("[A-Z]?"),
    "seq": st.integers(0, 2**63 - 1),
    "ts_recv": st.none() | NANOS,
}
#: every combination of fields that a quote may have
QUOTES = st.fixed_dictionaries(_FIELDS, optional=_MORE)
DISCONTINUITIES = st.fixed_dictionaries(
    {
        "type": st.just("discontinuity"),
        "ts_event": NANOS,
        "ts_from": NANOS,
        "provider": NAMES,
        "reason": text("[ -~]{1,200}"),
    },
    optional={"feed": _MORE["feed"]},
)
GOOD = QUOTES | CLOCKS | DISCONTINUITIES
_DAMAGED = damaged(GOOD, st.sampled_from((*_FIELDS, *_MORE, "type")) | WORDS)

#: anything at all, most of it near a good record
ANYTHING = (
    GOOD.map(lambda fields: json.dumps(fields).encode())
    | _DAMAGED
    | garbled(_DAMAGED | st.sampled_from([h.value for h in HARMLESS_QUOTES if len(h.value) < 1_000]))
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=40)
)

#: for chunks: records whose verdicts are known to differ, so that slices have something to get wrong
_SECONDS = st.integers(-70, 70).map(lambda s: TS + s * 1_000_000_000)
_CHUNK_VALUES = (
    _SECONDS.map(lambda ts: a_quote(ts_event=ts))
    | _SECONDS.map(lambda ts: a_clock(ts_event=ts))
    | _SECONDS.map(lambda ts: a_discontinuity(ts_event=ts, ts_from=TS))
    | st.sampled_from([specimen.value for specimen in QUOTE_POISON if specimen.size < LARGE])
)
RECORDS = st.builds(Record, _CHUNK_VALUES, st.integers(-5_000, 5_000).map(lambda ms: TS // 1_000_000 + ms))
