"""A producer's file, line by line, as the worker would judge each line if it were a record."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import IO, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from domain.clock import Clock
from schemas.compatibility import Direction
from schemas.dead_letter import message_of
from schemas.decode import decode_chunk
from schemas.decode_jobs import examine_job
from schemas.errors import Poison, Reason
from schemas.export import direction
from schemas.jobs import BarsFetchJob
from schemas.topics import TOPICS, TopicSpec
from schemas.trade import TradeTick
from schemas.verdict import poison_of

#: no topic takes a record of this size, whatever surrounds the value; of a longer line nothing is kept
MAX_LINE_BYTES = 1 << 20
#: topics whose values have a contract of their own
CHECKABLE = {spec.name: spec for spec in TOPICS if spec.models}
#: what a file begins with that was not saved as it should be
_STARTS = {
    codecs.BOM_UTF8: "the file begins with a byte order mark: save it as UTF-8 without one",
    codecs.BOM_UTF16_LE: "the file is UTF-16: save it as UTF-8",
    codecs.BOM_UTF16_BE: "the file is UTF-16: save it as UTF-8",
    b"\x1f\x8b": "the file is compressed: zcat FILE | tapeflow schema check -",
}

Judge = Callable[[bytes, int], Poison | None]
"""Says what is wrong with a value that the broker receives now (milliseconds since the epoch)."""


class Line(NamedTuple):
    """A line of the file, without its end."""

    number: int
    value: bytes
    size: int
    """In the file, with its end."""


class Problem(NamedTuple):
    """A line that the broker would not take, or that would end in the dead-letter topic."""

    line: int
    reason: Reason
    field: str
    """Dotted path; `value` for the whole."""
    message: str


class SchemaCheck:
    """Judges a file; holds one line at a time."""

    def __init__(self, file: IO[bytes], clock: Clock, topic: TopicSpec | None = None) -> None:
        """Read the first line, which tells the topic unless it is given; the file stays the caller's."""
        self._rest = _lines(file)
        self._clock = clock
        self._first = next(self._rest, None)
        self.topic = topic or (_topic_of(self._first.value) if self._first else None)
        """None if it cannot be told."""
        self.lines = 0
        self.bad = 0
        self.bytes_read = 0

    @property
    def unclear(self) -> str:
        """Why the topic cannot be told."""
        if self._first is None:
            return "the file is empty"
        return _beginning(self._first) or "line 1 is no object with the fields of one topic"

    def problems(self) -> Iterator[Problem | None]:
        """Yield what is wrong with each line in turn, or None; the topic must be known."""
        assert self.topic is not None
        judge = _judge_of(self.topic)
        line = self._first
        while line is not None:
            self.lines += 1
            self.bytes_read += line.size
            problem = self._problem(line, judge)
            self.bad += problem is not None
            yield problem
            line = next(self._rest, None)

    def _problem(self, line: Line, judge: Judge) -> Problem | None:
        if line.size > MAX_LINE_BYTES:
            said = f"{line.size} bytes in a line: the broker takes no such record"
            return Problem(line.number, Reason.TOO_LARGE, "value", said)
        poison = judge(line.value, self._clock.now_ns() // 1_000_000)
        if poison is None:
            return None
        field, _, message = message_of(poison).partition(": ")
        return Problem(line.number, poison.reason, field, _plainly(line, poison) or message)


def _lines(file: IO[bytes]) -> Iterator[Line]:
    number = 0
    while text := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        value, size, ended = text, len(text), text.endswith(b"\n")
        if size > MAX_LINE_BYTES:
            value = b""
            while not ended and (text := file.readline(MAX_LINE_BYTES)):
                size, ended = size + len(text), text.endswith(b"\n")
        yield Line(number, value.removesuffix(b"\n").removesuffix(b"\r"), size)


def _plainly(line: Line, poison: Poison) -> str | None:
    """Say what a parser does not know: how a line came to be no JSON."""
    if poison.reason is Reason.EMPTY:
        return "an empty line: a producer that sends line by line sends an empty record"
    if poison.reason is not Reason.DESERIALIZE:
        return None
    if said := _beginning(line):
        return said
    try:
        line.value.decode()
    except UnicodeDecodeError as exc:
        return f"not UTF-8: byte {exc.start + 1} of the line is 0x{line.value[exc.start]:02x}"
    return None


def _beginning(line: Line) -> str | None:
    starts = _STARTS.items() if line.number == 1 else ()
    return next((said for start, said in starts if line.value.startswith(start)), None)


_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _topic_of(value: bytes) -> TopicSpec | None:
    """Return the topic that others write to and whose fields an object has; None if none or several fit."""
    try:
        names = _object(value).keys()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    shared = {
        spec.name: max(len(names & model.model_fields.keys()) for model in spec.models)
        for spec in CHECKABLE.values()
        if direction(spec) is Direction.RECEIVED
    }
    most = max(shared.values())
    best = [name for name, count in shared.items() if count == most > 0]
    return CHECKABLE[best[0]] if len(best) == 1 else None


class _Record(NamedTuple):
    value: bytes
    timestamp: int


def _judge_trade(value: bytes, now_ms: int) -> Poison | None:
    for _, poison in decode_chunk([_Record(value, now_ms)]).rejects:
        # a correction keeps its contract: that candles do not take it yet is no fault of the file
        return None if poison.reason is Reason.CORRECTION else poison
    return None


def _judge_job(value: bytes, _: int) -> Poison | None:
    verdict = examine_job(value)
    return verdict if isinstance(verdict, Poison) else None


def _judge_model(models: tuple[type[BaseModel], ...], value: bytes, _: int) -> Poison | None:
    """Judge what only tapeflow writes: what fits none of the models has the errors of the nearest one."""
    if not value:
        return Poison(Reason.EMPTY, "value: no bytes")
    errors: list[ValidationError] = []
    for model in models:
        try:
            model.model_validate_json(value)
        except ValidationError as exc:
            errors.append(exc)
        else:
            return None
    return poison_of(min(errors, key=ValidationError.error_count))


#: the decoders of the worker, by the first model of their topic
JUDGES: Mapping[type[BaseModel], Judge] = {TradeTick: _judge_trade, BarsFetchJob: _judge_job}


def _judge_of(spec: TopicSpec) -> Judge:
    return JUDGES.get(spec.models[0]) or partial(_judge_model, spec.models)
