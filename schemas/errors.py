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
    ├── ProviderError            a provider did not give what was asked for; says who, status, code, text
    │   ├── AuthFailed           the key is refused: the provider is out until its configuration changes
    │   ├── EntitlementMissing   the plan does not include it: another provider may
    │   ├── BadRequest           we asked wrongly: neither repeated nor asked of another
    │   ├── NotFound             the provider does not know the symbol
    │   ├── RateLimited          asked too often: not before `retry_after_s`
    │   ├── ProviderAway         no answer, or one that says "later"
    │   └── Malformed            an answer that breaks the provider's own contract: quarantined
    └── CommandError             a command cannot do what it was asked to
        ├── ConfigInvalid
        ├── DependencyAway
        ├── PartialSuccess
        └── CheckFailed

``exit_code`` is what a process ends with when the error reaches its top (docs/reference/cli.md).
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, Literal


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
    CORRECTION = "correction"
    """A correction or cancel of a trade: good, and kept here because candles do not take it yet."""
    UNSERVICEABLE = "unserviceable"
    """A good job that no provider here can ever serve; the detail says who was asked and what they said."""
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


class ProviderError(TapeflowError):
    """A provider did not give what was asked for."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        code: str = "",
        request_id: str = "",
        raw: bytes = b"",
    ) -> None:
        """Take what the provider said.

        Args:
            message: its text, or ours; secrets already redacted.
            provider: who.
            status: of HTTP, or the close code of a WebSocket; None if there was no answer.
            code: the provider's own code.
            request_id: as the provider names the request.
            raw: the answer; its first 512 bytes are kept.
        """
        said = f"{status} " if status is not None else ""
        super().__init__(f"{provider}: {said}{message}")
        self.provider = provider
        self.status = status
        self.code = code
        self.request_id = request_id
        self.raw = raw[:512]


class AuthFailed(ProviderError):
    """The provider refuses the key."""


class EntitlementMissing(ProviderError):
    """The plan behind the key does not include what was asked for."""


class BadRequest(ProviderError):
    """The provider says that the request itself is wrong."""


class NotFound(ProviderError):
    """The provider does not know the symbol."""


class RateLimited(ProviderError):
    """The provider was asked too often."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float,
        scope: Literal["second", "minute", "hour", "day", "month"] = "minute",
        **said: Any,
    ) -> None:
        """Take how long to wait, in seconds, and which budget is spent."""
        super().__init__(message, **said)
        self.retry_after_s = retry_after_s
        self.scope = scope


class ProviderAway(ProviderError):
    """The provider gave no answer, or one that says "later"."""


class Malformed(ProviderError):
    """The provider's answer breaks its own contract."""


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
