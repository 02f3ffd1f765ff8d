"""Every error tapeflow raises on purpose, in one tree.

::

    TapeflowError
    ├── Poison                   one record that can never be used: divert it, go on
    ├── Transient                not now: wait in place and try again; never a dead letter
    │   ├── DatabaseAway
    │   └── BrokerAway
    ├── Fatal                    stop the worker without acknowledging; somebody outside restarts it
    │   ├── OutageOutlasted      an outage outlasted its budget
    │   ├── DatabaseRefused      the database said no for a reason that is neither data nor outage
    │   ├── PositionLost         the stored position is outside its partition
    │   ├── TopicMismatch        a topic is missing or has the wrong number of partitions
    │   ├── PoisonFlood          too much poison: a bad deploy rather than bad records
    │   └── Stuck                lag grows and nothing moves
    └── CommandError             a command cannot do what it was asked to
        ├── ConfigInvalid
        ├── DependencyAway
        ├── PartialSuccess
        └── CheckFailed

``exit_code`` is what a process ends with when the error reaches its top (docs/reference/cli.md).
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Reason(enum.StrEnum):
    """Why a record is a dead letter: the closed set of ``dlq.reason`` and of the metric label."""

    EMPTY = "empty"
    """No value at all, or a tombstone on a topic that has none."""
    DESERIALIZE = "deserialize"
    """Not JSON, or not UTF-8."""
    SCHEMA = "schema"
    """JSON, but not of the contract: a field is missing, unknown, of the wrong type or out of bounds."""
    TOO_LARGE = "too_large"
    """Refused, and too large to say more about it."""
    FUTURE = "future"
    """``ts_event`` lies too far beyond the time at which the broker received the record."""
    EXPIRED = "expired"
    """So late that its bar is already beyond the horizon of revisions."""
    SINK_DATA = "sink_data"
    """The database refused the value (SQLSTATE class 22)."""
    SINK_CONSTRAINT = "sink_constraint"
    """The database refused the row (SQLSTATE class 23)."""


class TapeflowError(Exception):
    """Something that tapeflow knows how to name went wrong."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        """Take a message; without one the first line of the class's docstring serves."""
        doc = (type(self).__doc__ or type(self).__name__).partition("\n")[0]
        super().__init__(message or doc)


class Poison(TapeflowError):
    """This record can never be used."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Take the closed reason and a detail that names the field."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class Transient(TapeflowError):
    """Not now; the same attempt may succeed later."""


class DatabaseAway(Transient):
    """The database cannot be reached or is shutting down, starting, locked or out of resources."""


class BrokerAway(Transient):
    """The broker cannot be reached."""


class Fatal(TapeflowError):
    """The worker must stop without acknowledging."""


class OutageOutlasted(Fatal):
    """An outage outlasted the budget for waiting in place."""

    exit_code = 4


class DatabaseRefused(Fatal):
    """The database refused a statement for a reason that is neither the data nor an outage."""


class PositionLost(Fatal):
    """A stored position lies outside its partition: the topic was re-created or retention passed it."""

    exit_code = 6


class TopicMismatch(Fatal):
    """A topic is missing or differs from the catalogue."""

    exit_code = 3


class PoisonFlood(Fatal):
    """So much of a partition is poison that stopping is safer than diverting it."""


class Stuck(Fatal):
    """Lag grows and nothing moves."""


class CommandError(TapeflowError):
    """The command cannot do what it was asked to."""


class ConfigInvalid(CommandError):
    """The configuration is invalid."""

    exit_code = 3


class DependencyAway(CommandError):
    """A broker, database or program that the command needs cannot be reached or found."""

    exit_code = 4


class PartialSuccess(CommandError):
    """Part of the input could not be used."""

    exit_code = 5


class CheckFailed(CommandError):
    """A check found a difference."""

    exit_code = 6
