"""The poison corpus of ``md.quotes.raw.v1``: all that is poison among trades, and what quotes add to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from schemas.errors import Reason
from tests.poison import POISON, TS, Specimen

_QUOTE: dict[str, Any] = {
    "symbol": "AAPL",
    "ts_event": TS,
    "bid": 187.24,
    "bid_size": 200,
    "ask": 187.26,
    "ask_size": 100,
    "provider": "polygon",
    "feed": "sip",
}


@dataclass(frozen=True, slots=True)
class HarmlessQuote:
    """One record that looks wrong and is a quote."""

    name: str
    value: bytes
    sides: tuple[float | None, float | None, float | None, float | None]
    """Bid, its size, ask, its size, as they must come out."""


def a_quote(**changes: object) -> bytes:
    """Return a good quote as JSON with some fields changed."""
    return json.dumps(_QUOTE | changes, separators=(",", ":")).encode()


def raw_quote(**changes: str) -> bytes:
    """Return a good quote with some values replaced by JSON text, which may be anything."""
    fields = {name: json.dumps(value) for name, value in _QUOTE.items()} | changes
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


def quote_without(*fields: str) -> bytes:
    """Return a good quote that lacks some fields."""
    return json.dumps({name: value for name, value in _QUOTE.items() if name not in fields}).encode()


def a_discontinuity(**changes: object) -> bytes:
    """Return a good record of a hole in a feed with some fields changed."""
    good = {
        "type": "discontinuity",
        "ts_event": TS,
        "ts_from": TS - 3_000_000_000,
        "provider": "polygon",
        "feed": "sip",
        "reason": "connection lost",
    }
    return json.dumps(good | changes).encode()


def _of_trades() -> Iterator[Specimen]:
    """Yield the corpus of trades; a trade, and what amends one, has fields that no quote has."""
    for specimen in POISON:
        strange = b'"price"' in (specimen.value or b"") or b'"orig_' in (specimen.value or b"")
        if strange and specimen.reason in (Reason.FUTURE, Reason.CORRECTION):
            yield replace(specimen, reason=Reason.SCHEMA)
        else:
            yield specimen


def _of_quotes() -> Iterator[Specimen]:
    def poison(name: str, value: bytes, reason: Reason = Reason.SCHEMA) -> Specimen:
        return Specimen(f"quote_{name}", value, reason)

    for field in ("symbol", "ts_event", "provider"):
        yield poison(f"without_{field}", quote_without(field))
    for field in ("bid", "ask", "bid_size", "ask_size"):
        for name, text in {
            "negative": "-0.01",
            "text": '"187.24"',
            "true": "true",
            "array": "[187.24]",
            "beyond_maximum": "1.1e12",
            "infinity_by_exponent": "1e400",
        }.items():
            yield poison(f"{field}_{name}", raw_quote(**{field: text}))
        # the contract's parser takes NaN for a number, and the model refuses it
        yield poison(f"{field}_nan", raw_quote(**{field: "NaN"}))
    yield poison("with_a_price", a_quote(price=187.25))
    yield poison("of_type_quote", a_quote(type="quote"))
    yield poison("symbol_lower_case", a_quote(symbol="aapl"))
    yield poison("bid_venue_too_long", a_quote(bid_venue="X" * 17))
    yield poison("ask_venue_slash", a_quote(ask_venue="X/Y"))
    yield poison("conditions_too_long", a_quote(conditions="R" * 17))
    yield poison("conditions_newline", a_quote(conditions="R\n"))
    yield poison("tape_digit", a_quote(tape="1"))
    yield poison("feed_null", a_quote(feed=None))
    yield poison("seq_negative", a_quote(seq=-1))
    yield poison("seq_null", a_quote(seq=None))
    yield poison("ts_event_milliseconds", a_quote(ts_event=TS // 1_000_000))
    yield poison("ts_recv_zero", a_quote(ts_recv=0))
    yield poison("truncated", a_quote()[:-1], Reason.DESERIALIZE)
    yield poison("two_values", a_quote() * 2, Reason.DESERIALIZE)
    yield poison("padded_and_wrong", a_quote(bid=-1) + b" " * 20_000, Reason.TOO_LARGE)
    yield poison("year_2096", a_quote(ts_event=4_000_000_000_000_000_000), Reason.FUTURE)
    yield poison("hole_in_2096", a_discontinuity(ts_event=4_000_000_000_000_000_000), Reason.FUTURE)
    yield poison("hole_without_reason", a_discontinuity(reason=""))
    yield poison("hole_of_a_symbol", a_discontinuity(symbol="AAPL"))


def _harmless() -> Iterator[HarmlessQuote]:
    both = (187.24, 200.0, 187.26, 100.0)
    yield HarmlessQuote("plain", a_quote(), both)
    yield HarmlessQuote("crossed", a_quote(bid=187.27), (187.27, 200.0, 187.26, 100.0))
    yield HarmlessQuote("locked", a_quote(bid=187.26), (187.26, 200.0, 187.26, 100.0))
    yield HarmlessQuote("bid_zero", a_quote(bid=0, bid_size=0), (None, None, 187.26, 100.0))
    yield HarmlessQuote("bid_minus_zero", raw_quote(bid="-0.0"), (None, None, 187.26, 100.0))
    yield HarmlessQuote("bid_null", a_quote(bid=None, bid_size=None), (None, None, 187.26, 100.0))
    yield HarmlessQuote("bid_left_out", quote_without("bid", "bid_size"), (None, None, 187.26, 100.0))
    yield HarmlessQuote("size_without_its_price", quote_without("ask"), (187.24, 200.0, None, None))
    yield HarmlessQuote("price_without_its_size", quote_without("ask_size"), (187.24, 200.0, 187.26, None))
    yield HarmlessQuote("no_side_at_all", a_quote(bid=None, ask=0), (None, None, None, None))
    yield HarmlessQuote("spaces_around", b" \n" + a_quote() + b" \n", both)
    yield HarmlessQuote("padded_to_20_kilobytes", a_quote() + b" " * 20_000, both)
    yield HarmlessQuote("escaped_name", a_quote().replace(b'"symbol"', b'"\\u0073ymbol"'), both)
    yield HarmlessQuote("duplicate_name", b'{"bid":"high",' + a_quote()[1:], both)
    yield HarmlessQuote("ts_recv_null", a_quote(ts_recv=None), both)
    yield HarmlessQuote("largest_seq", a_quote(seq=2**63 - 1), both)
    yield HarmlessQuote("at_maximum", a_quote(ask=10**12), (187.24, 200.0, 1e12, 100.0))
    yield HarmlessQuote("smallest", raw_quote(bid="5e-324"), (5e-324, 200.0, 187.26, 100.0))


QUOTE_POISON: tuple[Specimen, ...] = (*_of_trades(), *_of_quotes())
HARMLESS_QUOTES: tuple[HarmlessQuote, ...] = tuple(_harmless())
