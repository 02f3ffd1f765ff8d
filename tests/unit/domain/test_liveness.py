"""A worker is stuck only when lag grows old, nothing moves and nothing excuses it."""

from __future__ import annotations

import pytest

from domain.liveness import Progress, stuck

NOW, PATIENCE_S, LONG_AGO = 1_000.0, 90.0, 0.0


@pytest.mark.parametrize(
    ("lag", "moved_at", "excused_at", "is_stuck"),
    [
        (5, NOW - 91, LONG_AGO, True),
        (5, NOW - 90, LONG_AGO, False),
        (5, NOW - 1, LONG_AGO, False),
        (0, NOW - 10_000, LONG_AGO, False),
        (-1, NOW - 10_000, LONG_AGO, False),
        (5, NOW - 10_000, NOW, False),
        (5, NOW - 10_000, NOW - 90, False),
        (5, NOW - 10_000, NOW - 91, True),
    ],
)
def test_one_partition(lag: int, moved_at: float, excused_at: float, is_stuck: bool) -> None:
    verdict = stuck([Progress("md.trades.v1[3]", lag, moved_at)], NOW, PATIENCE_S, excused_at)
    assert (verdict is not None) is is_stuck


def test_says_which_and_for_how_long() -> None:
    partitions = [
        Progress("md.trades.v1[0]", 0, LONG_AGO),
        Progress("md.trades.v1[1]", 9, NOW),
        Progress("md.trades.v1[2]", 7, NOW - 120),
    ]
    said = stuck(partitions, NOW, PATIENCE_S, LONG_AGO)
    assert said == "md.trades.v1[2]: 7 records behind, nothing stored for 120 s"


def test_without_partitions_nobody_is_stuck() -> None:
    assert stuck([], NOW, PATIENCE_S, LONG_AGO) is None
