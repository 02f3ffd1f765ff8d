"""What an error of the database means: wait, divert, or stop."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from schemas.errors import Reason
from sinks.database import is_transient, poison_reason

#: the class, and whether waiting helps, and why a row is refused
VERDICTS = [
    ("08006", True, None),  # connection failure
    ("40001", True, None),  # serialization
    ("40P01", True, None),  # deadlock
    ("53100", True, None),  # disk full
    ("53300", True, None),  # too many connections
    ("55P03", True, None),  # lock_timeout
    ("57014", True, None),  # statement_timeout, cancel
    ("57P01", True, None),  # shutdown
    ("57P03", True, None),  # starting up
    ("58030", True, None),  # I/O
    ("25P03", True, None),  # idle in transaction: ours, after a freeze
    ("25P02", False, None),  # a bug: a statement after a failed one
    ("25006", False, None),  # read-only: a standby
    ("22021", False, Reason.SINK_DATA),
    ("22003", False, Reason.SINK_DATA),
    ("23505", False, Reason.SINK_CONSTRAINT),
    ("23514", False, Reason.SINK_CONSTRAINT),
    ("42P01", False, None),  # no such table
    ("42501", False, None),  # no permission
    ("21000", False, None),
    ("XX000", False, None),
]


@pytest.mark.parametrize(("state", "transient", "reason"), VERDICTS, ids=[v[0] for v in VERDICTS])
def test_the_verdict_on_a_state(state, transient, reason):
    exc = errors.lookup(state)("said the server")
    assert exc.sqlstate == state
    assert is_transient(exc) is transient
    assert poison_reason(exc) is reason


def test_no_error_is_two_things_at_once():
    for state in vars(errors).values():
        if isinstance(state, type) and issubclass(state, psycopg.Error) and state.sqlstate:
            assert not (is_transient(state()) and poison_reason(state())), state


def test_what_the_driver_says_itself():
    assert is_transient(psycopg.OperationalError("connection refused"))
    assert poison_reason(psycopg.OperationalError("connection refused")) is None
    assert poison_reason(psycopg.DataError("PostgreSQL text fields cannot contain NUL")) is Reason.SINK_DATA
    assert not is_transient(psycopg.ProgrammingError("missing = after"))
    assert poison_reason(psycopg.ProgrammingError("missing = after")) is None
