"""How long a database may be away, and what does not count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from schemas.errors import DatabaseAway, OutageOutlasted
from sinks.database import Database
from tests.unit.streams.clocks import SetClock

AWAY = DatabaseAway("server closed the connection unexpectedly")
STOPPED_S = 100.0
BUDGET_S = 5.0


class Moody(Database):
    """Its attempts take what the test says, and end as it says."""

    def __init__(self, clock: SetClock, attempts: Iterator[tuple[float, Any]]) -> None:
        super().__init__("postgresql://nobody@127.0.0.1:1/none", "unit", clock)
        self._set, self._attempts = clock, attempts

    @override
    async def attempt(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        took, outcome = next(self._attempts)
        self._set.seconds += took
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _nothing(_: Any) -> str:
    raise AssertionError("the attempts are scripted")


async def test_a_process_that_was_stopped_inside_a_transaction_tries_again():
    database = Moody(SetClock(), iter([(STOPPED_S, AWAY), (0.01, "stored")]))
    assert await database.patiently(BUDGET_S, _nothing) == "stored"


async def test_an_outage_is_outlasted_so_long_after_its_first_failure():
    clock = SetClock()
    database = Moody(clock, iter([(STOPPED_S, AWAY), (2.0, AWAY), (2.0, AWAY), (2.0, AWAY), (0.0, "late")]))
    with pytest.raises(OutageOutlasted, match="the database was away for 5 s"):
        await database.patiently(BUDGET_S, _nothing)
    assert clock.seconds == STOPPED_S + 6.0
