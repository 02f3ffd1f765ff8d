"""Both twins of a quote say the same, and the independent oracle too, on any input."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import inspect
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from domain.quote_flags import NAMES
from schemas.base import LATEST_NS
from schemas.chunk import MAX_EXAMINED_BYTES
from schemas.decode_quotes import decode_chunk
from schemas.discontinuity import Discontinuity
from schemas.errors import Poison, Reason
from schemas.quote import (
    Flag,
    L1Quote,
    Marker,
    Quote,
    QuoteMarker,
    QuoteTick,
    RawQuote,
    decode_quote,
    encode_quote,
)
from schemas.trade import ClockTick
from tests.oracle import read
from tests.poison import TS
from tests.quote_oracle import OF_QUOTES
from tests.quote_poison import HARMLESS_QUOTES, QUOTE_POISON, HarmlessQuote, a_quote
from tests.unit.schemas.hostile import Record
from tests.unit.schemas.hostile_quotes import ANYTHING, QUOTES

THOROUGH = settings(max_examples=400, deadline=None)
PROPERTY = settings(max_examples=150, deadline=None)
#: received after everything, so that nothing is in the future
LATE_MS = LATEST_NS // 1_000_000

Fields = dict[str, Any]
Verdict = RawQuote | ClockTick | Discontinuity | Poison


def hot(value: bytes, received_ms: int = LATE_MS) -> Verdict:
    """Return what the hot path makes of a value."""
    decoded = decode_chunk([Record(value, received_ms)])
    poison = [p for _, p in decoded.rejects]
    verdicts: list[Verdict] = [*decoded.quotes, *decoded.clocks, *decoded.discontinuities, *poison]
    (verdict,) = verdicts
    return verdict


def contract(value: bytes) -> Fields | None:
    """Return the fields that the pydantic models find; None if all refuse."""
    models: tuple[type[BaseModel], ...] = (QuoteTick, ClockTick, Discontinuity)
    for model in models:
        try:
            return dict(model.model_validate_json(value))
        except ValidationError:
            continue
    return None


def fields_of(verdict: Verdict) -> Fields | None:
    match verdict:
        case RawQuote():
            return msgspec.structs.asdict(verdict)
        case Poison():
            return None
        case _:
            return dict(verdict)


def exactly(fields: Fields | None) -> dict[str, tuple[str, str]] | None:
    """Floats bit for bit, no int for a float, in no order."""
    return fields and {name: (type(value).__name__, repr(value)) for name, value in fields.items()}


@THOROUGH
@given(ANYTHING)
def test_agree_on_anything(value: bytes) -> None:
    verdict = hot(value)
    assert exactly(fields_of(verdict)) == exactly(contract(value))
    if isinstance(verdict, Poison):
        assert verdict.reason in {Reason.EMPTY, Reason.DESERIALIZE, Reason.SCHEMA}


@THOROUGH
@given(ANYTHING)
def test_the_oracle_agrees(value: bytes) -> None:
    verdict, said = hot(value), read(value, LATE_MS, OF_QUOTES)
    if isinstance(verdict, Poison):
        assert said == verdict.reason.value
    else:
        assert isinstance(said, dict)
        fields = fields_of(verdict)
        assert fields == (fields or {}) | said


@PROPERTY
@given(QUOTES)
def test_a_valid_quote_takes_the_fast_way(fields: Fields) -> None:
    value = msgspec.json.encode(fields)
    quote = msgspec.json.decode(value, type=RawQuote)
    assert hot(value) == quote
    assert exactly(msgspec.structs.asdict(quote)) == exactly(dict(QuoteTick.model_validate_json(value)))


@pytest.mark.parametrize("specimen", QUOTE_POISON, ids=lambda s: s.name)
def test_poison_has_its_reason(specimen: Any) -> None:
    decoded = decode_chunk([Record(specimen.value, TS // 1_000_000)])
    assert [poison.reason for _, poison in decoded.rejects] == [specimen.reason]
    assert (decoded.quotes, decoded.beside) == ([], [])


@pytest.mark.parametrize("harmless", HARMLESS_QUOTES, ids=lambda h: h.name)
def test_what_looks_wrong_is_a_quote(harmless: HarmlessQuote) -> None:
    assert isinstance(hot(harmless.value, TS // 1_000_000), RawQuote)


class TestFields:
    """One cannot change without the other."""

    TWINS = {f.name: f.type for f in inspect.type_info(RawQuote).fields}  # type: ignore[attr-defined] # noqa: RUF012
    STRINGS = tuple(name for name, kind in TWINS.items() if isinstance(kind, inspect.StrType))

    def test_names_and_defaults(self) -> None:
        assert defaults_of(RawQuote) == defaults_of(QuoteTick)

    @pytest.mark.parametrize("name", ["bid", "bid_size", "ask", "ask_size", "ts_event", "ts_recv", "seq"])
    def test_numeric_bounds(self, name: str) -> None:
        for number in (
            -1, -0.0, 0, 5e-324, 1e12, 1.0000000001e12, 10**12 + 1, 2**63 - 1, 2**63,
            631_151_999_999_999_999, 631_152_000_000_000_000, LATEST_NS - 1, LATEST_NS,
        ):  # fmt: skip
            value = a_quote(**{name: number})
            assert exactly(fields_of(hot(value))) == exactly(contract(value)), number

    @pytest.mark.parametrize("name", STRINGS)
    def test_lengths(self, name: str) -> None:
        limit = self.TWINS[name].max_length
        # of the character that any string may have everywhere
        good = "A" if contract(a_quote(**{name: "A"})) else "a"
        for length in (0, 1, limit, limit + 1):
            value = a_quote(**{name: good * length})
            assert isinstance(hot(value), RawQuote) is (contract(value) is not None), length
        assert contract(a_quote(**{name: good * limit})) is not None
        assert contract(a_quote(**{name: good * (limit + 1)})) is None

    @pytest.mark.parametrize("name", STRINGS)
    def test_character_sets(self, name: str) -> None:
        """Every character at every place: the chunk's check and the contract's patterns are the same."""
        pad = next(c for c in ("A", "a") if contract(a_quote(**{name: c})))
        for c in [*map(chr, range(0x180)), "\u0660", "\u2028", "\u202e", "\uff21", "\U0001f680"]:
            for text in (c, c + pad, pad + c, pad + c + pad):
                value = a_quote(**{name: text})
                assert isinstance(hot(value), RawQuote) is (contract(value) is not None), repr(text)


class TestOutput:
    """What is encoded is what the contract says."""

    def test_names_and_defaults(self) -> None:
        assert defaults_of(L1Quote) == defaults_of(Quote)
        assert defaults_of(Marker) | {"type": PydanticUndefined} == defaults_of(QuoteMarker)

    def test_flags(self) -> None:
        assert NAMES[-1] == get_args(Flag)

    def test_everything(self) -> None:
        quote = L1Quote(
            "AAPL", TS, 7, "polygon", 1.0, 2.0, 0.5, 0.0, "sip", "V", "Q", "1,5", "C", 9, NAMES[25], TS + 1
        )
        value = encode_quote(quote)
        assert dict(Quote.model_validate_json(value)) == msgspec.structs.asdict(quote)
        assert decode_quote(value) == quote

    def test_what_is_absent_is_left_out(self) -> None:
        value = encode_quote(L1Quote("AAPL", TS, 1, "kraken", ask=187.5))
        assert value == b'{"symbol":"AAPL","ts_event":%d,"n":1,"provider":"kraken","ask":187.5}' % TS
        assert Quote.model_validate_json(value).bid is None

    def test_what_came_empty_is_left_out_too(self) -> None:
        """Values made at run time, not the constants of the source."""
        raw = hot(a_quote(feed="", conditions="", bid_venue="", tape="", seq=0, ts_recv=None))
        assert isinstance(raw, RawQuote)
        quote = L1Quote(
            raw.symbol, raw.ts_event, 1, raw.provider, None, None, None, None, raw.feed, raw.bid_venue,
            raw.ask_venue, raw.conditions, raw.tape, raw.seq, NAMES[0], raw.ts_recv,
        )  # fmt: skip
        assert encode_quote(quote) == b'{"symbol":"AAPL","ts_event":%d,"n":1,"provider":"polygon"}' % TS

    def test_marker(self) -> None:
        marker = Marker(TS, "connection lost", "polygon", "sip", TS - 5)
        said = QuoteMarker.model_validate_json(encode_quote(marker))
        assert dict(said) == msgspec.structs.asdict(marker) | {"type": "marker"}
        assert encode_quote(Marker(TS, "state lost")) == (
            b'{"type":"marker","ts_event":%d,"reason":"state lost"}' % TS
        )


def defaults_of(twin: type[msgspec.Struct] | type[BaseModel]) -> Fields:
    if issubclass(twin, BaseModel):
        return {name: field.default for name, field in twin.model_fields.items()}
    return {
        f.name: PydanticUndefined if f.default is msgspec.NODEFAULT else f.default
        for f in msgspec.structs.fields(twin)
    }


def test_beyond_what_is_examined_the_fast_way_still_decides() -> None:
    padding = b" " * MAX_EXAMINED_BYTES
    assert isinstance(hot(a_quote() + padding), RawQuote)
    assert hot(a_quote(bid=-1) + padding).reason is Reason.TOO_LARGE  # type: ignore[union-attr]
