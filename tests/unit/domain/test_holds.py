"""A worker leaves a provider alone after its own failures, for a moment, and only that provider."""

from __future__ import annotations

from domain.holds import Holds


def notes(holds: Holds, *failed: bool, at: float = 100.0) -> None:
    for bad in failed:
        holds.note("polygon", failed=bad, now=at, trip=3)


def test_nobody_is_held_to_begin_with() -> None:
    assert Holds().until("polygon") == 0


def test_a_row_of_failures_holds_for_two_seconds_and_nobody_else() -> None:
    holds = Holds()
    notes(holds, True, True)
    assert holds.until("polygon") == 0
    notes(holds, True, at=101.0)
    assert holds.until("polygon") == 103.0
    assert holds.until("alpaca") == 0


def test_what_went_well_begins_a_new_row() -> None:
    holds = Holds()
    notes(holds, True, True, False, True, True)
    assert holds.until("polygon") == 0
    notes(holds, True)
    assert holds.until("polygon") == 102.0


def test_one_more_failure_after_the_hold_holds_again() -> None:
    holds = Holds(hold_s=0.5)
    notes(holds, True, True, True)
    assert holds.until("polygon") == 100.5
    notes(holds, True, at=107.0)
    assert holds.until("polygon") == 107.5


def test_an_answer_that_was_under_way_does_not_lift_a_hold() -> None:
    holds = Holds()
    notes(holds, True, True, True, False)
    assert holds.until("polygon") == 102.0
    notes(holds, True, True, at=103.0)
    assert holds.until("polygon") == 102.0


def test_a_trip_that_a_reload_lowers_counts_from_the_next_failure() -> None:
    holds = Holds()
    notes(holds, True)
    holds.note("polygon", failed=True, now=100.0, trip=1)
    assert holds.until("polygon") == 102.0
