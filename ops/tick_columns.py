"""Columns to fields: which column of a file becomes which field of a trade, and how its text is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ops.timestamps import UNITS, guess_unit, to_ns
from schemas.decode import examine
from schemas.errors import Poison
from schemas.trade import Trade, TradeTick

FIELDS = tuple(TradeTick.model_fields)
REQUIRED = tuple(name for name, info in TradeTick.model_fields.items() if info.is_required())
TIMES = ("ts_event", "ts_recv")
NUMBERS = ("price", "size")
INTEGERS = ("seq",)

#: a good trade: a constant is tried on it before the first row is read
_SPECIMEN = Trade("A", 1_000_000_000_000_000_000, 1.0, 1.0, "a")

Convert = Callable[[str], object]
_encode = msgspec.json.Encoder().encode


class BadCellError(ValueError):
    """A cell that cannot be read; the message names the field."""


class MappingError(ValueError):
    """What was asked for cannot be done with these columns; the message says which and what there is."""


@dataclass(slots=True)
class TimeColumn:
    """Reads one column of timestamps, all in one unit; guesses it from the first that tells."""

    name: str
    unit: str | None = None
    guessed: bool = False

    def __call__(self, text: str) -> int:
        """Return nanoseconds since the epoch.

        Raises:
            BadCellError: naming the field.
        """
        if self.unit is None:
            self.unit = guess_unit(text)
            self.guessed = True
        if self.unit is None:
            raise BadCellError(
                f"{self.name}: no time between 1990 and 2100 in any of {', '.join(UNITS)}: {text[:64]!r}"
            )
        try:
            return to_ns(text, self.unit)
        except ValueError as exc:
            raise BadCellError(f"{self.name}: {exc}") from None


@dataclass(slots=True)
class Columns:
    """What was asked for: ``--map``, ``--set``, ``--time-unit``."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    """Field -> column."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Field -> text."""
    time_unit: str | None = None
    """One of `ops.timestamps.UNITS`; None: guessed."""
    times: dict[str, TimeColumn] = field(init=False, default_factory=dict)
    fixed: dict[str, object] = field(init=False, default_factory=dict)
    """Field -> value, from the constants."""

    def __post_init__(self) -> None:
        """Check what can be checked without a file.

        Raises:
            MappingError: an unknown field, one that is given twice, or a constant that no trade can have.
        """
        for name in (*self.mapped, *self.constants):
            if name not in FIELDS:
                raise MappingError(f"{name!r} is no field of a trade; there are {', '.join(FIELDS)}")
        for name in self.mapped.keys() & self.constants.keys():
            raise MappingError(f"{name} is given by --map and by --set; leave one out")
        self.times = {name: TimeColumn(name, self.time_unit) for name in TIMES}
        for name, text in self.constants.items():
            # read apart, so that a constant does not decide the unit of a column
            read = TimeColumn(name, self.time_unit) if name in TIMES else self.reader(name)
            try:
                self.fixed[name] = read(text)
            except BadCellError as exc:
                raise MappingError(f"--set {exc}") from None
            tried = examine(_encode(msgspec.structs.asdict(_SPECIMEN) | {name: self.fixed[name]}))
            if isinstance(tried, Poison):
                raise MappingError(f"--set {tried.detail}")

    def reader(self, name: str) -> Convert:
        """Return what turns the text of a field into its value; what it cannot read the contract refuses."""
        if name in TIMES:
            return self.times[name]
        if name in NUMBERS:
            return _number
        return _integer if name in INTEGERS else str

    def source(self, name: str) -> str | None:
        """Return the column that a field is read from; None if it is a constant."""
        return None if name in self.fixed else self.mapped.get(name, name)

    def plan(self, header: Sequence[str]) -> list[tuple[str, int, Convert]]:
        """Return (field, index of its column, reader) for the columns of a file that has a header.

        Raises:
            MappingError: a column is missing, or there twice.
        """
        there = ", ".join(header) or "none"
        for name, column in self.mapped.items():
            if column not in header:
                raise MappingError(f"--map {name}={column}: there is no such column; there are {there}")
        plan = []
        for name in FIELDS:
            source = self.source(name)
            if source is not None and source in header:
                if header.count(source) > 1:
                    raise MappingError(f"column {source!r} is there {header.count(source)} times")
                plan.append((name, header.index(source), self.reader(name)))
            elif name in REQUIRED and name not in self.fixed:
                raise MappingError(
                    f"nothing gives {name}: --map {name}=COLUMN or --set {name}=VALUE; there are {there}"
                )
        return plan


def _number(text: str) -> object:
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) and "_" not in text else text


def _integer(text: str) -> object:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
