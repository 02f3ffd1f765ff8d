"""Whether a changed contract still fits those who live by an earlier one: two JSON Schemas, compared.

A record has a writer and a reader, and each has a schema. A gap is what the writer may write and the reader
does not take. What others write to tapeflow they write as released, and it is read as it is now; what they
read is written as it is now, and they read it as released.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

Schema = Mapping[str, Any]


class Direction(enum.StrEnum):
    """Who writes the records of a contract, and who reads them."""

    RECEIVED = "received"
    """Others write, tapeflow reads."""
    SENT = "sent"
    """Tapeflow writes, others read."""
    INTERNAL = "internal"
    """Tapeflow writes and reads; while versions are exchanged, either may be the older one."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that may be written and is not taken."""

    path: str
    """Dotted, from the value down; `[]` is an item of an array, `*` any other field."""
    what: str

    @override
    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.path or 'value'}: {self.what}"


def breaks(released: Schema, present: Schema, direction: Direction) -> list[str]:
    """Return what the present contract breaks for those who live by the released one; empty if nothing.

    Raises:
        ValueError: a schema has a keyword that this module cannot compare.
    """
    found: list[str] = []
    if direction is not Direction.SENT:
        found += (f"written as released, read now: {gap}" for gap in gaps(released, present))
    if direction is not Direction.RECEIVED:
        whole = direction is Direction.SENT
        found += (f"written now, read as released: {gap}" for gap in gaps(present, released, whole=whole))
    return found


def gaps(writer: Schema, reader: Schema, *, whole: bool = False) -> list[Gap]:
    """Return what a writer may write and a reader does not take.

    It errs on the safe side: a pattern, say, cannot be compared with another, so any change is a gap.

    Args:
        writer: the schema of whoever writes, with its `$defs`.
        reader: the schema of whoever reads, with its `$defs`.
        whole: the reader wants every field that it knows, optional ones too.

    Raises:
        ValueError: a schema has a keyword that this module cannot compare.
    """
    return _Comparison(writer, reader, whole=whole).gaps(writer, reader, "")


#: say nothing of which values there are
ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "deprecated", "discriminator"}
)
_LOWEST = {"minimum": 0, "exclusiveMinimum": 1, "minLength": 0, "minItems": 0, "minProperties": 0}
_HIGHEST = {"maximum": 0, "exclusiveMaximum": -1, "maxLength": 0, "maxItems": 0, "maxProperties": 0}
#: bounds of the same thing
_BOUNDS = (
    ("minimum", "exclusiveMinimum"),
    ("maximum", "exclusiveMaximum"),
    ("minLength",),
    ("maxLength",),
    ("minItems",),
    ("maxItems",),
    ("minProperties",),
    ("maxProperties",),
)
#: taken as they stand: the same, or not comparable
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems")
KNOWN = ANNOTATIONS.union(
    {"$ref", "anyOf", "oneOf", "type", "const", "enum", "default"},
    {"properties", "required", "additionalProperties", "items"},
    _LOWEST,
    _HIGHEST,
    _EXACT,
)


class _Comparison:
    def __init__(self, writer: Schema, reader: Schema, *, whole: bool) -> None:
        self._writer = writer
        self._reader = reader
        self._whole = whole
        self._under_way: set[tuple[str, str]] = set()

    def gaps(self, writer: Schema, reader: Schema, path: str) -> list[Gap]:
        """Compare two schemas at the same place; what is under way already is not entered again."""
        pair = (str(writer.get("$ref")), str(reader.get("$ref")))
        if pair in self._under_way:
            return []
        named = {pair} if "$ref" in writer and "$ref" in reader else set()
        self._under_way |= named
        written, taken = _options(writer, self._writer, path), _options(reader, self._reader, path)
        found = [
            gap
            for option in written
            for gap in self._closest(option, taken, _at(path, option) if len(written) > 1 else path)
        ]
        self._under_way -= named
        return found

    def _closest(self, writer: Schema, readers: Sequence[Schema], path: str) -> list[Gap]:
        """Return nothing if one of the readers takes it all, else the gaps of the one that is meant."""
        results = [(reader, list(self._option(writer, reader, path))) for reader in readers]
        title = writer.get("title")
        meant = min(results, key=lambda r: (bool(r[1]), r[0].get("title") != title, len(r[1])))
        return meant[1]

    def _option(self, writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
        written, taken = _values(writer), _values(reader)
        if taken is not None:
            if written is None:
                yield Gap(path, f"any {_type(writer)} may be written, only {_list(taken)} is taken")
            elif more := [value for value in written if value not in taken]:
                yield Gap(path, f"{_list(more)} may be written, only {_list(taken)} is taken")
            return
        if not _fits(writer, reader):
            yield Gap(path, f"{_type(writer)} may be written, only {_type(reader)} is taken")
            return
        yield from _bounds(writer, reader, path)
        for keyword in _EXACT:
            if reader.get(keyword) and writer.get(keyword) != reader[keyword]:
                yield Gap(path, f"{keyword}: {writer.get(keyword)} is written, {reader[keyword]} is taken")
        if "items" in reader:
            yield from self.gaps(writer.get("items", {}), reader["items"], f"{path}[]")
        yield from self._fields(writer, reader, path)

    def _fields(self, writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
        written, taken = writer.get("properties", {}), reader.get("properties", {})
        more = reader.get("additionalProperties", True)
        for name, field in written.items():
            place = f"{path}.{name}" if path else name
            if name in taken:
                yield from self.gaps(field, taken[name], place)
                if name not in writer.get("required", ()):
                    yield from _default(field, taken[name], place)
            elif more is False:
                yield Gap(place, "may be written, and the reader refuses fields that it does not know")
            elif more is not True:
                yield from self.gaps(field, more, place)
        for name in taken:
            place = f"{path}.{name}" if path else name
            required = name in reader.get("required", ())
            if name not in written and (required or self._whole):
                yield Gap(place, "is not written any more" if self._whole else "is required, and unknown")
            elif required and name not in writer.get("required", ()):
                yield Gap(place, "is required, and may be left out")
        others = writer.get("additionalProperties", True)
        if others is not False and more is not True:
            place = f"{path}.*" if path else "*"
            if more is False:
                yield Gap(place, "may be written, and the reader refuses fields that it does not know")
            else:
                yield from self.gaps({} if others is True else others, more, place)


def _options(schema: Schema, root: Schema, path: str) -> list[Schema]:
    """Return the alternatives of a schema, references followed: each has at most one type."""
    while "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**root["$defs"][schema["$ref"].removeprefix("#/$defs/")], **rest}
    if unknown := schema.keys() - KNOWN:
        raise ValueError(f"{path or 'value'}: cannot compare {', '.join(sorted(unknown))}")
    for several in ("anyOf", "oneOf"):
        if several in schema:
            rest = {k: v for k, v in schema.items() if k != several and k not in ANNOTATIONS}
            return [o for branch in schema[several] for o in _options({**rest, **branch}, root, path)]
    if isinstance(kinds := schema.get("type"), list):
        return [{**schema, "type": kind} for kind in kinds]
    return [schema]


def _at(path: str, option: Schema) -> str:
    return path or str(option.get("title", ""))


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _type(schema: Schema) -> str:
    return str(schema.get("type", "anything"))


def _list(values: list[Any]) -> str:
    return ", ".join(map(repr, values))


def _fits(writer: Schema, reader: Schema) -> bool:
    written, taken = writer.get("type"), reader.get("type")
    return taken in (None, written) or (written, taken) == ("integer", "number")


def _bounds(writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
    for names in _BOUNDS:
        lowest = names[0] in _LOWEST
        written, taken = _bound(writer, names, lowest=lowest), _bound(reader, names, lowest=lowest)
        if taken and (written is None or (written < taken if lowest else written > taken)):
            said = _said(writer, names) or "any"
            yield Gap(path, f"{said} is written, {_said(reader, names)} is taken")


def _bound(schema: Schema, names: Sequence[str], *, lowest: bool) -> tuple[float, int] | None:
    """Return the bound that counts, the second number breaks ties: beyond is stricter than from."""
    side = _LOWEST if lowest else _HIGHEST
    found = [(schema[name], side[name]) for name in names if name in schema]
    return (max if lowest else min)(found, default=None)


def _said(schema: Schema, names: Sequence[str]) -> str:
    return ", ".join(f"{name} {schema[name]}" for name in names if name in schema)


def _default(writer: Schema, reader: Schema, path: str) -> Iterator[Gap]:
    """What is left out means the default: another one is another meaning."""
    if "default" in writer and "default" in reader and writer["default"] != reader["default"]:
        yield Gap(path, f"left out it meant {writer['default']!r} to the writer, {reader['default']!r} here")
