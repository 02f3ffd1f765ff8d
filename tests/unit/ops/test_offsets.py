"""Verdicts on positions, and where `--to` leads."""

from __future__ import annotations

import pytest

from ops.offsets import Position, target
from schemas.errors import CommandError


def position(**changes: int | None) -> Position:
    facts = {"begin": 5, "committed": 40, "stored": 50, "resume": 45, "end": 60} | changes
    return Position("md.trades.v1", 2, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "ok"),
        ({"stored": 60, "committed": 60}, "ok"),
        ({"committed": None}, "ok"),
        ({"resume": 5}, "ok"),
        ({"stored": None, "resume": None}, "new"),
        ({"stored": 61}, "beyond_end"),
        ({"stored": 61, "resume": 4}, "beyond_end"),
        ({"resume": 4}, "before_begin"),
        ({"committed": 51}, "committed_ahead"),
        ({"committed": 50}, "ok"),
    ],
)
def test_the_verdict(changes, verdict):
    assert position(**changes).verdict == verdict


@pytest.mark.parametrize(
    ("to", "offset"), [("earliest", 5), ("latest", 60), ("5", 5), ("33", 33), ("60", 60)]
)
def test_where_to_leads(to, offset):
    assert target(position(), to) == offset


@pytest.mark.parametrize("to", ["4", "61", "0"])
def test_an_offset_that_the_partition_does_not_hold_is_refused(to):
    with pytest.raises(CommandError, match=rf"md\.trades\.v1\[2\] holds 5\.\.60, not {to}"):
        target(position(), to)
