"""The poison corpus: every way we know in which a record of ``md.trades.v1`` can be wrong, and its reason.

Three lists. `POISON` never can be used; `HARMLESS` looks wrong and is not; `REFUSED` does not get past the
broker, so it is no business of the worker's.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.errors import Reason
from schemas.trade import Trade

Headers = tuple[tuple[str, bytes | None], ...]

#: every specimen happens in this minute: 2023-11-14T22:14:00Z
MINUTE = 1_700_000_040_000_000_000
TS = MINUTE + 30_000_000_000
KEY = b"AAPL"
#: what the broker takes at most (the catalogue's ``max.message.bytes``), and what librdkafka sends at most
BROKER_BYTES = 1_048_588
CLIENT_BYTES = 1_000_000
#: what is larger is not sent by the thousand
LARGE = 4_096

_TICK: dict[str, Any] = {
    "symbol": "AAPL",
    "ts_event": TS,
    "price": 187.25,
    "size": 100,
    "provider": "polygon",
    "feed": "sip",
}
_CLOCK: dict[str, Any] = {"type": "clock", "ts_event": TS, "provider": "polygon", "feed": "sip"}


@dataclass(frozen=True, slots=True)
class Specimen:
    """One record that must end in the dead-letter topic."""

    name: str
    value: bytes | None
    reason: Reason
    key: bytes | None = KEY
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(n) + len(v or b"") for n, v in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


@dataclass(frozen=True, slots=True)
class Harmless:
    """One record that must be folded."""

    name: str
    value: bytes
    trade: Trade
    key: bytes | None = KEY
    headers: Headers = ()


def a_tick(**changes: object) -> bytes:
    """Return a good trade as JSON with some fields changed."""
    return json.dumps(_TICK | changes, separators=(",", ":")).encode()


def raw(**changes: str) -> bytes:
    """Return a good trade with some values replaced by JSON text, which may be anything."""
    fields = {name: json.dumps(value) for name, value in _TICK.items()} | changes
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


def without(field: str) -> bytes:
    """Return a good trade that lacks a field."""
    return json.dumps({name: value for name, value in _TICK.items() if name != field}).encode()


def an_amendment(**changes: object) -> bytes:
    """Return a good cancel as JSON with some fields changed."""
    amendment = {
        "type": "cancel",
        "symbol": "AAPL",
        "ts_event": TS,
        "provider": "alpaca",
        "orig_id": "52983525029461",
        "orig_price": 187.25,
        "orig_size": 100,
    }
    return json.dumps(amendment | changes).encode()


def a_clock(**changes: object) -> bytes:
    """Return a good clock record as JSON with some fields changed."""
    return json.dumps(_CLOCK | changes, separators=(",", ":")).encode()


def a_trade(**changes: Any) -> Trade:
    """Return the trade that `a_tick` says."""
    return Trade(**{**_TICK, "size": 100.0, **changes})


def _nothing() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.EMPTY)
    yield poison("tombstone", None)
    yield poison("tombstone_without_key", None, key=None)
    yield poison("empty_value", b"")
    yield poison("empty_value_and_key", b"", key=b"")


def _not_json() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.DESERIALIZE)
    good = a_tick()
    yield poison("blank", b" \n")
    yield poison("text", b"AAPL 187.25 100")
    yield poison("truncated", good[:-1])
    yield poison("truncated_in_a_string", good[:8])
    yield poison("trailing_garbage", good + b"x")
    yield poison("two_values", good + b"\n" + good)
    yield poison("trailing_comma", good[:-1] + b",}")
    yield poison("single_quotes", good.replace(b'"', b"'"))
    yield poison("comment", good[:-1] + b"/* last */}")
    yield poison("byte_order_mark", b"\xef\xbb\xbf" + good)
    yield poison("utf_16", good.decode().encode("utf-16"))
    yield poison("invalid_utf8", good.replace(b"AAPL", b"AA\xff"))
    yield poison("invalid_utf8_in_a_name", good[:-1] + b',"\xff":1}')
    yield poison("overlong_utf8", good.replace(b"AAPL", b"\xc0\xaf"))
    yield poison("encoded_surrogate", good.replace(b"AAPL", b"\xed\xa0\x80"))
    yield poison("lone_surrogate", raw(symbol='"\\ud800"'))
    yield poison("raw_newline_in_a_string", good.replace(b"AAPL", b"AA\nL"))
    yield poison("raw_nul_in_a_string", good.replace(b"AAPL", b"AA\x00L"))
    yield poison("leading_zero", raw(price="0187.25"))
    yield poison("leading_plus", raw(price="+187.25"))
    yield poison("no_digit_after_the_point", raw(price="187."))
    yield poison("python_true", raw(price="True"))
    yield poison("integer_of_5000_digits", raw(price="1" * 5_000))
    yield poison("nested_too_deep", good[:-1] + b',"x":' + b"[" * 1_025 + b"]" * 1_025 + b"}")
    yield poison("nested_objects", b'{"x":' * 3_000)
    yield poison("nested_without_end", b"[" * 16_000)
    yield poison("schema_registry_frame", struct.pack(">bI", 0, 42) + good)
    yield poison("gzip", gzip.compress(good, mtime=0))
    yield poison("random_bytes", bytes(range(256)))


def _other_shapes() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.SCHEMA)
    yield poison("null", b"null")
    yield poison("number", b"187.25")
    yield poison("string", b'"AAPL"')
    yield poison("array", json.dumps(list(_TICK.values())).encode())
    yield poison("array_of_trades", b"[" + a_tick() + b"]")
    yield poison("empty_object", b"{}")
    for field in ("symbol", "ts_event", "price", "size", "provider"):
        yield poison(f"without_{field}", without(field))
    yield poison("unknown_field", a_tick(surprise=1))
    yield poison("misspelt_field", without("price")[:-1] + b',"prise":187.25}')
    yield poison("field_in_capitals", without("price")[:-1] + b',"PRICE":187.25}')
    yield poison("field_without_name", a_tick(**{"": 1}))
    yield poison("last_duplicate_is_wrong", a_tick()[:-1] + b',"price":"high"}')
    yield poison("trade_of_type_clock", a_tick(type="clock"))
    yield poison("trade_of_type_trade", a_tick(type="trade"))
    yield poison("clock_without_provider", b'{"type":"clock","ts_event":%d}' % TS)
    yield poison("clock_with_a_price", a_clock(price=187.25))
    yield poison("clock_at_a_text", a_clock(ts_event=str(TS)))
    yield poison("clock_of_another_type", a_clock(type="Clock"))
    yield poison("cancel_without_a_price", an_amendment(orig_price=None))
    yield poison("cancel_with_a_new_price", an_amendment(price=1))
    yield poison("correction_without_a_new_price", an_amendment(type="correction"))
    yield poison("discontinuity_without_its_begin", a_clock(type="discontinuity", reason="mute"))


def _numbers() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.SCHEMA)
    for name, text in {
        "null": "null",
        "true": "true",
        "text": '"187.25"',
        "underscore": '"1_87"',
        "full_width_digits": '"\uff11\uff18\uff17"',
        "array": "[187.25]",
        "nan": "NaN",
        "infinity": "Infinity",
        "minus_infinity": "-Infinity",
        "1e400": "1e400",
        "integer_beyond_float": "1" * 400,
        "zero": "0",
        "minus_zero": "-0.0",
        "underflow": "1e-400",
        "negative": "-187.25",
        "beyond_maximum": "1000000000001",
    }.items():
        yield poison(f"price_{name}", raw(price=text))
    for name, text in {
        "null": "null",
        "zero": "0",
        "negative": "-1",
        "below_minimum": "9.99999999e-10",
        "beyond_maximum": "1e13",
    }.items():
        yield poison(f"size_{name}", raw(size=text))
    for name, text in {
        "negative": "-1",
        "2_to_63": str(2**63),
        "2_to_64": str(2**64),
        "float": "1.0",
    }.items():
        yield poison(f"seq_{name}", raw(seq=text))


def _times() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.SCHEMA)
    for name, text in {
        "seconds": str(TS // 10**9),
        "milliseconds": str(TS // 10**6),
        "microseconds": str(TS // 10**3),
        "text": f'"{TS}"',
        "iso_8601": '"2023-11-14T22:14:30Z"',
        "float": f"{TS}.0",
        "exponent": "1.70000007e18",
        "before_1970": "-1",
        "before_1990": "631151999999999999",
        "year_2100": "4102444800000000000",
        "null": "null",
        "true": "true",
    }.items():
        yield poison(f"ts_event_{name}", raw(ts_event=text))
    yield poison("ts_recv_zero", a_tick(ts_recv=0))
    far = 4_000_000_000_000_000_000  # 2096
    yield Specimen("ts_event_year_2096", a_tick(ts_event=far), Reason.FUTURE)
    yield Specimen("clock_year_2096", a_clock(ts_event=far), Reason.FUTURE)
    # good records; candles do not take them yet
    yield Specimen("cancel", an_amendment(), Reason.CORRECTION)
    corrected = an_amendment(type="correction", price=187.2, size=90, conditions="@")
    yield Specimen("correction", corrected, Reason.CORRECTION)


def _strings() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.SCHEMA)
    for name, symbol in {
        "empty": "",
        "lower_case": "aapl",
        "of_33_characters": "A" * 33,
        "of_10_kilobytes": "A" * 10_240,
        "sql": "X'; DROP TABLE candles_intraday;--",
        "path": "../../ETC/PASSWD",
        "newline": "AAPL\n",
        "space": "AAPL ",
        "nul": "AA\0PL",
        "right_to_left": "\u202eLPAA",
        "emoji": "🚀",
        "full_width": "\uff21\uff21\uff30\uff2c",
        "combining": "A\u0301APL",
        "markup": "<SCRIPT>",
    }.items():
        yield poison(f"symbol_{name}", a_tick(symbol=symbol))
    yield poison("symbol_number", a_tick(symbol=1))
    yield poison("symbol_null", a_tick(symbol=None))
    yield poison("provider_empty", a_tick(provider=""))
    yield poison("provider_capitals", a_tick(provider="Polygon"))
    yield poison("provider_newline", a_tick(provider="polygon\n"))
    yield poison("feed_null", a_tick(feed=None))
    yield poison("feed_space", a_tick(feed="s ip"))
    yield poison("venue_too_long", a_tick(venue="X" * 17))
    yield poison("venue_slash", a_tick(venue="X/Y"))
    yield poison("conditions_array", a_tick(conditions=["@", "F"]))
    yield poison("conditions_delete_character", a_tick(conditions="@\x7f"))
    yield poison("conditions_not_ascii", a_tick(conditions="é"))
    yield poison("tape_two_letters", a_tick(tape="AB"))
    yield poison("tape_digit", a_tick(tape="1"))
    yield poison("trade_id_space", a_tick(trade_id="a b"))
    yield poison("trade_id_nul", a_tick(trade_id="a\0"))
    yield poison("trade_id_surrogate_pair", raw(trade_id='"\\ud83d\\ude00"'))
    yield poison("trade_id_of_65_characters", a_tick(trade_id="a" * 65))


def _large() -> Iterator[Specimen]:
    poison = partial(Specimen, reason=Reason.TOO_LARGE)
    yield poison("string_of_900_kilobytes", a_tick(symbol="A" * 900_000))
    yield poison("name_of_100_kilobytes", a_tick(**{"x" * 100_000: 1}))
    yield poison("fifty_thousand_fields", json.dumps({f"f{i}": i for i in range(50_000)}).encode())
    yield poison("nested_large", b"[" * 100_000)
    yield poison("as_large_as_a_client_sends", b"x" * (CLIENT_BYTES - 1_000))
    yield poison("padded_and_wrong", a_tick(price=-1) + b" " * 20_000)


def _envelopes() -> Iterator[Specimen]:
    """Records wrong in their value and odd in all else: key and headers must come through untouched."""
    poison = partial(Specimen, value=a_tick(price=-1), reason=Reason.SCHEMA)
    yield poison("no_key", key=None)
    yield poison("empty_key", key=b"")
    yield poison("key_of_500_kilobytes", key=b"K" * 500_000)
    yield poison("key_not_utf8", key=b"\xff\xfe")
    yield poison("header_value_not_utf8", headers=(("trace", b"\xff\xfe\x00"),))
    yield poison("header_without_value", headers=(("trace", None),))
    yield poison("header_with_empty_value", headers=(("trace", b""),))
    yield poison("header_without_name", headers=(("", b"x"),))
    yield poison("headers_of_one_name", headers=(("trace", b"1"), ("trace", b"2"), ("trace", b"1")))
    yield poison("headers_by_the_thousand", headers=tuple((f"h{i}", b"%d" % i) for i in range(1_000)))
    yield poison("headers_that_look_like_ours", headers=(("dlq.id", b"forged"), ("dlq.reason", b"none")))


def _poison() -> Iterator[Specimen]:
    for kinds in (
        _nothing,
        _not_json,
        _other_shapes,
        _numbers,
        _times,
        _strings,
        _large,
        _envelopes,
    ):
        yield from kinds()


def _harmless() -> Iterator[Harmless]:
    good = a_tick()
    harmless = partial(Harmless, trade=a_trade())
    yield harmless("plain", good)
    yield harmless("spaces_around", b" \r\n\t" + good + b" \n")
    yield harmless("padded_to_20_kilobytes", good + b" " * 20_000)
    yield harmless("another_order_of_fields", json.dumps(dict(reversed(_TICK.items()))).encode())
    yield harmless("escaped_value", good.replace(b"AAPL", b"\\u0041APL"))
    yield harmless("escaped_name", good.replace(b'"symbol"', b'"\\u0073ymbol"'))
    yield harmless("size_as_float", raw(size="100.0"))
    yield harmless("size_with_exponent", raw(size="1E+2"))
    yield harmless("seq_minus_zero", raw(seq="-0"))
    yield harmless("ts_recv_null", raw(ts_recv="null"))
    yield harmless("duplicate_name", b'{"price":1.0,' + good[1:])
    yield harmless("first_duplicate_is_wrong", b'{"price":"high",' + good[1:])
    yield harmless("no_key", good, key=None)
    yield harmless("key_of_another_symbol", good, key=b"MSFT")
    yield harmless("header_not_utf8", good, headers=(("trace", b"\xff"),))
    yield harmless("header_without_value", good, headers=(("trace", None),))
    yield harmless("headers_by_the_thousand", good, headers=tuple((f"h{i}", b"x") for i in range(1_000)))
    yield Harmless("price_at_maximum", raw(price="1e12"), a_trade(price=1e12))
    yield Harmless("smallest_price", raw(price="5e-324"), a_trade(price=5e-324))
    yield Harmless("price_of_400_digits", raw(price="0." + "1" * 400), a_trade(price=1 / 9))
    yield Harmless("smallest_size", raw(size="1e-9"), a_trade(size=1e-9))
    yield Harmless("size_at_maximum", raw(size="1000000000000"), a_trade(size=1e12))
    yield Harmless("largest_seq", raw(seq=str(2**63 - 1)), a_trade(seq=2**63 - 1))
    yield Harmless(
        "everything_at_its_longest",
        a_tick(
            symbol="^" + "Z" * 31,
            provider="p" * 32,
            feed="f" * 32,
            venue="V" * 16,
            conditions=" ~" * 8,
            tape="C",
            trade_id="!~" * 32,
            ts_recv=TS,
        ),
        a_trade(
            symbol="^" + "Z" * 31,
            provider="p" * 32,
            feed="f" * 32,
            venue="V" * 16,
            conditions=" ~" * 8,
            tape="C",
            trade_id="!~" * 32,
            ts_recv=TS,
        ),
    )


POISON: tuple[Specimen, ...] = tuple(_poison())
HARMLESS: tuple[Harmless, ...] = tuple(_harmless())
#: (name, value): larger than the topic's ``max.message.bytes``
REFUSED: tuple[tuple[str, bytes], ...] = (("over_the_brokers_limit", b"x" * (BROKER_BYTES + 1)),)
