"""Contracts keep what they promised: every kind of break is found, and no frozen release is broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import create_model

from schemas.candle import Candle
from schemas.compatibility import KNOWN, Direction, breaks, gaps
from schemas.export import contracts, json_schema

RELEASED = Path(__file__).parents[3] / "docs" / "reference" / "released"
FROZEN = sorted(RELEASED.glob("*/*.json"))
CONTRACTS = contracts()

#: one of everything that contracts are made of
THING: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["symbol", "kind", "window"],
    "properties": {
        "symbol": {"type": "string", "pattern": "^[A-Z]+$", "description": "Which."},
        "kind": {"enum": ["a", "b"], "type": "string"},
        "size": {"type": "number", "exclusiveMinimum": 0, "maximum": 10, "default": 1},
        "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "default": 1},
        "note": {"type": "string", "minLength": 0, "maxLength": 8, "default": ""},
        "names": {
            "type": "array",
            "items": {"type": "string", "pattern": "^x"},
            "minItems": 1,
            "maxItems": 3,
        },
        "hint": {"anyOf": [{"enum": ["p", "q"], "type": "string"}, {"type": "null"}], "default": None},
        "window": {"$ref": "#/$defs/Window"},
        "more": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "$defs": {
        "Window": {
            "title": "Window",
            "type": "object",
            "additionalProperties": False,
            "required": ["start"],
            "properties": {
                "start": {"type": "string", "format": "date-time"},
                "end": {"type": "string", "format": "date-time"},
            },
        }
    },
}
#: the same, as tapeflow writes it: open
OPEN: dict[str, Any] = {name: value for name, value in THING.items() if name != "additionalProperties"}
REMOVED = object()


def changed(schema: dict[str, Any], *steps: tuple[str, Any]) -> dict[str, Any]:
    """Return a copy with values set, or removed, at these dotted paths."""
    new = deepcopy(schema)
    for path, value in steps:
        *parents, last = path.split(".")
        node: Any = new
        for name in parents:
            node = node[int(name)] if isinstance(node, list) else node[name]
        if value is REMOVED:
            del node[last]
        else:
            node[last] = value
    return new


#: what may not be done to what others write, where it is told, and the change
NARROWED: list[tuple[str, list[tuple[str, Any]]]] = [
    ("fresh", [("properties.fresh", {"type": "string"}), ("required", [*THING["required"], "fresh"])]),
    ("size", [("required", [*THING["required"], "size"])]),
    ("note", [("properties.note", REMOVED)]),
    ("window.end", [("$defs.Window.properties.end", REMOVED)]),
    ("window.end", [("$defs.Window.required", ["start", "end"])]),
    ("size", [("properties.size.type", "integer")]),
    ("symbol", [("properties.symbol", {"type": "integer"})]),
    ("kind", [("properties.kind.enum", ["a"])]),
    ("kind", [("properties.kind", {"const": "a", "type": "string"})]),
    ("symbol", [("properties.symbol", {"enum": ["A"], "type": "string"})]),
    ("size", [("properties.size.exclusiveMinimum", 1)]),
    ("size", [("properties.size.maximum", 9.5)]),
    ("size", [("properties.size.maximum", REMOVED), ("properties.size.exclusiveMaximum", 10)]),
    ("count", [("properties.count.minimum", 2)]),
    ("count", [("properties.count.exclusiveMaximum", 8)]),
    ("note", [("properties.note.minLength", 1)]),
    ("note", [("properties.note.maxLength", 7)]),
    ("note", [("properties.note.pattern", "^[a-z]*$")]),
    ("symbol", [("properties.symbol.pattern", "^[A-Z.]+$")]),
    ("symbol", [("properties.symbol.maxLength", 9)]),
    ("window.start", [("$defs.Window.properties.start.format", "date")]),
    ("names", [("properties.names.minItems", 2)]),
    ("names", [("properties.names.maxItems", 2)]),
    ("names", [("properties.names.uniqueItems", True)]),
    ("names[]", [("properties.names.items.pattern", "^y")]),
    ("hint", [("properties.hint.anyOf", [{"enum": ["p", "q"], "type": "string"}])]),
    ("hint", [("properties.hint.anyOf.0.enum", ["p"])]),
    ("note", [("properties.note.default", "none")]),
    ("more.*", [("properties.more.additionalProperties", {"type": "integer"})]),
    ("more.*", [("properties.more.additionalProperties", False)]),
    ("window", [("properties.window", {"type": "string"})]),
]
#: what may be done to it
WIDENED: list[list[tuple[str, Any]]] = [
    [("properties.fresh", {"type": "string", "default": ""})],
    [("required", ["symbol", "window"])],
    [("properties.count.type", "number")],
    [("properties.kind.enum", ["b", "a", "c"])],
    [("properties.kind", {"type": "string"})],
    [("properties.size.exclusiveMinimum", REMOVED), ("properties.size.minimum", 0)],
    [("properties.size.maximum", 11)],
    [("properties.size.maximum", REMOVED)],
    [("properties.note.maxLength", 9)],
    [("properties.symbol.pattern", REMOVED)],
    [("properties.names.minItems", 0)],
    [("properties.names.items", REMOVED)],
    [("properties.hint.anyOf", [{"type": "null"}, {"type": "integer"}, {"type": "string"}])],
    [("$defs.Window.required", [])],
    [("properties.symbol.description", "Another.")],
    [("additionalProperties", True)],
    [("properties.window", {"anyOf": [{"$ref": "#/$defs/Window"}, {"type": "null"}]})],
    [("properties.symbol", {"type": ["string", "null"]})],
]


def ids(value: Any) -> str:
    return json.dumps(value, default=lambda _: "removed") if isinstance(value, list) else str(value)


def told(found: list[str]) -> list[str]:
    """Return the paths that are told."""
    return [line.split(": ")[1] for line in found]


class TestReceived:
    """Others write it: whatever was accepted is accepted."""

    @pytest.mark.parametrize(("path", "change"), NARROWED, ids=ids)
    def test_what_narrows_it_is_found_once_and_by_its_field(self, path, change):
        assert told(breaks(THING, changed(THING, *change), Direction.RECEIVED)) == [path]

    @pytest.mark.parametrize("change", WIDENED, ids=ids)
    def test_what_widens_it_is_free(self, change):
        assert breaks(THING, changed(THING, *change), Direction.RECEIVED) == []

    def test_it_may_not_close(self):
        assert told(breaks(OPEN, THING, Direction.RECEIVED)) == ["*"]


class TestSent:
    """Others read it: whatever they know is written, and nothing that they do not take."""

    @pytest.mark.parametrize(
        ("path", "change"),
        [
            ("note", [("properties.note", REMOVED)]),
            ("symbol", [("properties.symbol", REMOVED), ("required", ["kind", "window"])]),
            ("symbol", [("required", ["kind", "window"])]),
            ("window.start", [("$defs.Window.required", [])]),
            ("window.end", [("$defs.Window.properties.end", REMOVED)]),
            ("count", [("properties.count.type", "number")]),
            ("symbol", [("properties.symbol.type", ["string", "null"])]),
            ("kind", [("properties.kind.enum", ["a", "b", "c"])]),
            ("kind", [("properties.kind", {"type": "string"})]),
            ("size", [("properties.size.exclusiveMinimum", REMOVED)]),
            ("size", [("properties.size.maximum", 11)]),
            ("symbol", [("properties.symbol.pattern", REMOVED)]),
            ("names", [("properties.names.maxItems", REMOVED)]),
            ("names[]", [("properties.names.items", REMOVED)]),
            ("more.*", [("properties.more.additionalProperties", {"type": "string"})]),
        ],
        ids=ids,
    )
    def test_what_surprises_a_reader_is_found(self, path, change):
        assert told(breaks(OPEN, changed(OPEN, *change), Direction.SENT)) == [path]

    @pytest.mark.parametrize(
        "change",
        [
            [("properties.fresh", {"type": "string"}), ("required", [*OPEN["required"], "fresh"])],
            [("properties.kind.enum", ["a"])],
            [("properties.size.maximum", 9)],
            [("properties.size.type", "integer")],
            [("required", [*OPEN["required"], "note"])],
        ],
        ids=ids,
    )
    def test_more_fields_and_fewer_values_are_free(self, change):
        assert breaks(OPEN, changed(OPEN, *change), Direction.SENT) == []


class TestInternal:
    """Two versions of tapeflow write to each other."""

    @pytest.mark.parametrize(
        ("path", "change"),
        [
            ("fresh", [("properties.fresh", {"type": "string"}), ("required", [*OPEN["required"], "fresh"])]),
            ("symbol", [("required", ["kind", "window"])]),
            ("size", [("properties.size.maximum", 11)]),
            ("size", [("properties.size.maximum", 9)]),
        ],
        ids=ids,
    )
    def test_neither_may_refuse_the_other(self, path, change):
        assert told(breaks(OPEN, changed(OPEN, *change), Direction.INTERNAL)) == [path]

    @pytest.mark.parametrize(
        "change",
        [
            [("properties.fresh", {"type": "string", "default": ""})],
            [("properties.note", REMOVED)],
        ],
        ids=ids,
    )
    def test_what_may_be_left_out_may_come_and_go(self, change):
        assert breaks(OPEN, changed(OPEN, *change), Direction.INTERNAL) == []


class TestUnions:
    TWO: ClassVar[dict[str, Any]] = {
        "oneOf": [{"$ref": "#/$defs/Thing"}, {"$ref": "#/$defs/Window"}],
        "$defs": {
            "Thing": {"title": "Thing", **{k: v for k, v in THING.items() if k != "$defs"}},
            **THING["$defs"],
        },
    }

    def test_the_order_says_nothing(self):
        turned = changed(self.TWO, ("oneOf", self.TWO["oneOf"][::-1]))
        assert breaks(self.TWO, turned, Direction.RECEIVED) == []

    def test_a_model_may_be_added_to_what_is_received_and_not_to_what_is_sent(self):
        one = changed(self.TWO, ("oneOf", self.TWO["oneOf"][:1]))
        assert breaks(one, self.TWO, Direction.RECEIVED) == []
        assert breaks(one, self.TWO, Direction.SENT)
        assert breaks(self.TWO, one, Direction.RECEIVED)

    def test_a_changed_model_is_told_by_its_name_and_held_against_itself(self):
        new = changed(self.TWO, ("$defs.Thing.properties.size.maximum", 9), ("$defs.Thing.required", []))
        assert told(breaks(self.TWO, new, Direction.RECEIVED)) == ["Thing.size"]


def test_a_model_within_itself_ends():
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {"left": {"$ref": "#/$defs/Tree"}, "size": {"type": "integer", "maximum": 9}},
            }
        },
    }
    assert gaps(tree, tree) == []
    assert [gap.path for gap in gaps(tree, changed(tree, ("$defs.Tree.properties.size.maximum", 8)))] == [
        "size"
    ]


def test_a_keyword_that_cannot_be_compared_is_no_silence():
    with pytest.raises(ValueError, match="size: cannot compare not"):
        gaps(THING, changed(THING, ("properties.size.not", {"const": 3})))


def keywords(schema: Any) -> Iterator[str]:
    """Yield the keywords of a schema and of all schemas in it."""
    yield from schema
    for name in ("properties", "$defs"):
        for child in schema.get(name, {}).values():
            yield from keywords(child)
    several = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    single = (schema[name] for name in ("items", "additionalProperties") if schema.get(name))
    for child in (*several, *single):
        yield from keywords(child)


@pytest.mark.parametrize("name", CONTRACTS)
class TestContracts:
    def test_can_be_compared(self, name):
        assert set(keywords(CONTRACTS[name].schema)) <= KNOWN

    @pytest.mark.parametrize("direction", Direction)
    def test_fits_itself(self, name, direction):
        assert breaks(CONTRACTS[name].schema, CONTRACTS[name].schema, direction) == []

    def test_every_lost_field_is_found(self, name):
        """Whatever fields there are: taken from any model, each is missed by whom it was promised to."""
        schema, direction = CONTRACTS[name].schema, CONTRACTS[name].direction
        for place, field in fields(schema):
            without = deepcopy(schema)
            model = without["$defs"][place] if place else without
            optional = field not in model.get("required", ())
            del model["properties"][field]
            model["required"] = [other for other in model.get("required", ()) if other != field]
            found = breaks(schema, without, direction)
            if not (optional and direction is Direction.INTERNAL):
                assert any(f"{field}: " in line for line in found), (place, field)


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from (("", name) for name in schema.get("properties", ()))
    for model, definition in schema.get("$defs", {}).items():
        yield from ((model, name) for name in definition.get("properties", ()))


class TestReleases:
    def test_there_is_one(self):
        assert FROZEN

    @pytest.mark.parametrize("path", FROZEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
    def test_no_release_is_broken(self, path):
        assert path.stem in CONTRACTS, f"{path.stem} is gone, and release {path.parent.name} has it"
        contract = CONTRACTS[path.stem]
        assert breaks(json.loads(path.read_text()), contract.schema, contract.direction) == []

    def test_a_break_in_a_model_would_be_found(self):
        """The way from a model to a break, once: the rest of this file is about schemas."""
        lesser = create_model("Candle", __base__=Candle, volume=(float | None, None))
        (line,) = breaks(json_schema(Candle), json_schema(lesser), Direction.SENT)[:1]
        assert line.startswith("written now, read as released: volume: ")
