"""Flags: sums as in the table, names as on the topic."""

from __future__ import annotations

import pytest

from domain.quote_flags import CROSSED, LOCKED, NAMES, NUMBERS, ONE_SIDED, OUT_OF_ORDER, STALE, flags


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (1.0, 1.1, 0),
        (1.1, 1.1, LOCKED),
        (1.2, 1.1, CROSSED),
        (None, 1.1, ONE_SIDED),
        (1.1, None, ONE_SIDED),
        (None, None, ONE_SIDED),
    ],
)
def test_of_sides(bid: float | None, ask: float | None, expected: int) -> None:
    assert flags(bid, ask) == expected


def test_names() -> None:
    words = {
        CROSSED: "crossed",
        LOCKED: "locked",
        ONE_SIDED: "one_sided",
        STALE: "stale",
        OUT_OF_ORDER: "out_of_order",
    }
    assert sorted(words) == [1, 2, 4, 8, 16]
    for total, names in enumerate(NAMES):
        assert sum(number for number, word in words.items() if word in names) == total
        assert NUMBERS[names] == total
    assert len(NAMES) == 32
