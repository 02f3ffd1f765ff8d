"""The hot path and the contract agree on every input, and have the same fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import inspect
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from schemas.chunk import MAX_EXAMINED_BYTES
from schemas.decode import decode_chunk
from schemas.errors import Poison, Reason
from schemas.trade import ClockTick, Trade, TradeTick
from tests.oracle import read
from tests.poison import HARMLESS, TS, a_tick
from tests.unit.schemas.hostile import ANYTHING, CLOCKS, TICKS, Record

THOROUGH = settings(max_examples=300, deadline=None)
PROPERTY = settings(max_examples=100, deadline=None)
#: nothing is in the future
LATE_MS = 5_000_000_000_000

Fields = dict[str, Any]


def hot(value: bytes) -> Trade | ClockTick | Poison:
    """Return what the hot path makes of a value."""
    decoded = decode_chunk([Record(value, LATE_MS)])
    clocks, poison = [c for _, c in decoded.clocks], [p for _, p in decoded.rejects]
    assert not decoded.discontinuities, "nothing here makes any"
    verdicts: list[Trade | ClockTick | Poison] = [*decoded.trades, *clocks, *poison]
    (verdict,) = verdicts
    return verdict


def contract(value: bytes) -> Fields | None:
    """Return the fields that the pydantic models find; None if both refuse."""
    for model in (TradeTick, ClockTick):
        try:
            return dict(model.model_validate_json(value))
        except ValidationError:
            continue
    return None


def fields_of(verdict: Trade | ClockTick | Poison) -> Fields | None:
    match verdict:
        case Trade():
            return msgspec.structs.asdict(verdict)
        case ClockTick():
            return dict(verdict)
        case _:
            return None


def exactly(fields: Fields | None) -> dict[str, tuple[str, str]] | None:
    """Floats bit for bit, and no int for a float."""
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
    verdict, said = hot(value), read(value, LATE_MS)
    if isinstance(verdict, Poison):
        assert said == verdict.reason.value
    else:
        assert isinstance(said, dict)
        fields = fields_of(verdict)
        assert fields == (fields or {}) | said


@PROPERTY
@given(TICKS)
def test_a_valid_tick_takes_the_fast_way(tick: Fields) -> None:
    value = msgspec.json.encode(tick)
    trade = msgspec.json.decode(value, type=Trade)
    assert hot(value) == trade
    assert exactly(msgspec.structs.asdict(trade)) == exactly(dict(TradeTick.model_validate_json(value)))


@PROPERTY
@given(CLOCKS)
def test_a_valid_clock_is_one(clock: Fields) -> None:
    assert hot(msgspec.json.encode(clock)) == ClockTick(**clock)


class TestFields:
    """One cannot change without the other."""

    TWINS = {f.name: f.type for f in inspect.type_info(Trade).fields}  # type: ignore[attr-defined] # noqa: RUF012
    STRINGS = tuple(name for name, kind in TWINS.items() if isinstance(kind, inspect.StrType))

    def test_names_and_order(self) -> None:
        assert list(self.TWINS) == list(TradeTick.model_fields)

    def test_defaults(self) -> None:
        twins = {
            f.name: PydanticUndefined if f.default is msgspec.NODEFAULT else f.default
            for f in msgspec.structs.fields(Trade)
        }
        assert twins == {name: field.default for name, field in TradeTick.model_fields.items()}

    def test_numeric_bounds(self) -> None:
        for name, field in TradeTick.model_fields.items():
            kind = self.TWINS[name]
            if isinstance(kind, inspect.UnionType):
                (kind,) = (k for k in kind.types if not isinstance(k, inspect.NoneType))
            if not isinstance(kind, inspect.IntType | inspect.FloatType):
                continue
            bounds = {
                bound: getattr(constraint, bound)
                for constraint in _constraints(field)
                for bound in ("ge", "gt", "le", "lt")
                if hasattr(constraint, bound)
            }
            twin = {b: v for b in ("ge", "gt", "le", "lt") if (v := getattr(kind, b)) is not None}
            assert twin == bounds, name
            assert bounds, f"{name} has no bounds"

    @pytest.mark.parametrize("name", STRINGS)
    def test_lengths(self, name: str) -> None:
        longest = getattr(next(h.trade for h in HARMLESS if h.name == "everything_at_its_longest"), name)
        for text, accepted in ((longest, True), (longest + longest[-1], False)):
            value = a_tick(**{name: text})
            assert (contract(value) is not None) is accepted
            assert isinstance(hot(value), Trade) is accepted
        assert self.TWINS[name].max_length == len(longest)
        empty = a_tick(**{name: ""})
        assert isinstance(hot(empty), Trade) is (contract(empty) is not None)

    @pytest.mark.parametrize("name", STRINGS)
    def test_character_sets(self, name: str) -> None:
        """Every character at every place: the chunk's check and the contract's patterns are the same."""
        characters = [*map(chr, range(0x180)), "\u0660", "\u2028", "\u202e", "\uff21", "\U0001f680"]
        # characters of which each string may have some before and after
        pad = next(c for c in ("A", "a") if contract(a_tick(**{name: c})))
        for c in characters:
            for text in (c, c + pad, pad + c, pad + c + pad):
                value = a_tick(**{name: text})
                assert isinstance(hot(value), Trade) is (contract(value) is not None), repr(text)


def _constraints(field: Any) -> list[Any]:
    """Return the constraints of a field; those of an optional one lie within its union."""
    inner = [
        meta for arg in getattr(field.annotation, "__args__", ()) for meta in getattr(arg, "__metadata__", ())
    ]
    return [c for meta in (*field.metadata, *inner) for c in getattr(meta, "metadata", [meta])]


def test_beyond_what_is_examined_the_fast_way_still_decides() -> None:
    padding = b" " * MAX_EXAMINED_BYTES
    assert isinstance(hot(a_tick() + padding), Trade)
    assert hot(a_tick(price=-1) + padding).reason is Reason.TOO_LARGE  # type: ignore[union-attr]


def test_nothing_here_is_in_the_future() -> None:
    assert TS // 1_000_000 < LATE_MS
