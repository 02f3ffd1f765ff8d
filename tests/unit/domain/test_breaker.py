"""The breaker: what opens it, how long it stays open, what closes it again, and what operators read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from domain.health import HealthRules
from schemas.outcome import FAILURES
from tests.unit.domain.outcomes import LIVES, RULES, Life, S, Steps, live

AWAY: dict[str, Any] = {"detail": "503 Service Unavailable"}
THREE = "3 failures in a row, the last: away (503 Service Unavailable)"


def open_life(rules: HealthRules = RULES) -> Life:
    life = Life(rules)
    life.sees("ok", "ok", "ok", "away", "away", "away", **AWAY)
    assert life.health.state == "open"
    return life


def test_a_provider_falls_is_left_alone_is_probed_and_is_back() -> None:
    life = open_life()
    life.waits(59.9)
    life.sleeps()
    life.sees("ok", "ok", "ok", purpose="probe")
    life.sees("ok", "ok")
    assert life.timeline() == [
        ("closed", ""),
        ("open", THREE),
        ("half_open", "0 of 3 probes passed"),
        ("half_open", "1 of 3 probes passed"),
        ("half_open", "2 of 3 probes passed"),
        ("closed", "3 probes passed, score 0.99"),
    ]
    assert life.health.transitions == 3


def test_two_failures_open_nothing_and_a_good_answer_begins_a_new_row() -> None:
    life = Life()
    life.sees(*["ok"] * 8, "away", "away", "ok", "malformed", "away", "ok")
    assert life.health.state == "closed"
    assert life.sees("away", "away").failures_in_row == 2
    assert life.health.state == "closed"


@pytest.mark.parametrize("between", ["rate_limited", "entitlement", "not_found", "bad_request"])
def test_what_says_nothing_of_the_provider_neither_counts_nor_ends_a_row(between: str) -> None:
    life = Life()
    life.sees("away", "away")
    for _ in range(20):
        life.sees(between)
    assert life.health.state == "closed"
    assert life.sees("away").state == "open"


def test_a_refused_key_opens_at_once() -> None:
    life = Life()
    life.sees("ok", "ok", "auth", detail="401 Unknown\nAPI   key")
    assert life.timeline()[-1] == ("open", "auth (401 Unknown API key)")


def test_half_of_the_window_opens_though_never_three_in_a_row() -> None:
    life = Life()
    life.sees("ok", "away", "ok", "away", "ok")
    assert life.health.state == "closed"
    life.sees("away")
    assert life.timeline()[-1] == ("open", "3 of 6 answers failed, the last: away")


def test_less_than_half_does_not_open() -> None:
    life = Life()
    life.sees("ok", *(["ok", "away"] * 20))
    assert life.health.state == "closed"


def test_failures_before_the_window_do_not_count_in_it() -> None:
    life = Life()
    life.sees("away", "ok", "away", "ok", "away")
    life.waits(61)
    life.sees("ok", "away", "ok", "away")
    assert life.health.state == "closed"


def test_slowness_opens_if_the_weights_say_so() -> None:
    life = Life()
    life.sees(*["ok"] * 20, latency_ms=9_000)
    assert life.health.state == "closed"
    assert life.health.score == pytest.approx(0.75)
    life = Life(HealthRules(weights=(0.3, 0.5, 0.1, 0.1)))
    life.sees("ok", "ok", latency_ms=9_000)
    assert life.health.state == "closed"
    life.sees("ok", latency_ms=9_000)
    why = "score 0.50 is below 0.55: latency 0.00, errors 1.00, completeness 1.00; the last: ok"
    assert life.timeline()[-1] == ("open", why)


def test_answers_with_wrong_rows_open_and_say_so() -> None:
    life = Life()
    life.sees("ok", "ok", "ok", incompleteness=0.8)
    why = "3 failures in a row, the last: 80% of the rows missing or wrong"
    assert life.timeline()[-1] == ("open", why)


def test_answers_that_are_found_wrong_afterwards_open_though_each_looked_good() -> None:
    life = Life()
    for _ in range(6):
        assert life.health.state == "closed"
        life.sees("ok")
        life.sees("ok", purpose="judgement", incompleteness=1.0, detail="alpaca has 390 bars")
    why = "6 of 6 answers failed, the last: 100% of the rows missing or wrong (alpaca has 390 bars)"
    assert life.timeline()[-1] == ("open", why)


def test_a_good_word_of_others_is_no_answer() -> None:
    life = Life()
    life.sees("away", "away")
    life.sees("ok", purpose="judgement", incompleteness=0.0)
    assert life.sees("away").state == "open"


def test_a_long_word_of_the_provider_is_cut() -> None:
    life = Life()
    life.sees("auth", detail="x" * 512)
    assert life.health.reason == f"auth ({'x' * 200}…)"


def test_nothing_moves_an_open_one_before_its_time() -> None:
    life = open_life()
    until = life.health.retry_at
    life.sees("ok", "ok", "ok", "ok", "away", "auth", purpose="probe")
    life.waits(50)
    assert (life.health.state, life.health.retry_at, life.health.reason) == ("open", until, THREE)


def test_the_cool_down_has_a_jitter_of_its_own_for_each_provider_and_each_fall() -> None:
    ends = set()
    for transitions in range(20):
        for name in ("polygon", "alpaca"):
            life = Life()
            life.records[-1] = life.health.model_copy(update={"provider": name, "transitions": transitions})
            life.sees("auth")
            assert life.health.retry_at is not None
            ends.add(life.health.retry_at - life.now)
    assert len(ends) == 40
    assert 60 * S <= min(ends) < 62 * S
    assert 70 * S < max(ends) <= 72 * S


def test_the_first_failure_of_a_probe_opens_again_for_a_whole_cool_down() -> None:
    life = open_life()
    life.sleeps()
    life.sees("ok", "ok", purpose="probe")
    life.sees("away", purpose="probe", **AWAY)
    assert life.timeline()[-1] == ("open", "a probe failed: away (503 Service Unavailable)")
    assert life.health.retry_at is not None
    assert life.health.retry_at - life.now >= 60 * S
    life.sleeps()
    assert life.health.reason == "0 of 3 probes passed"


def test_an_outcome_after_the_cool_down_finds_it_half_open_though_nobody_looked_at_the_clock() -> None:
    life = open_life()
    life.sees("ok", purpose="probe", after_s=72)
    assert (life.health.state, life.health.reason) == ("half_open", "1 of 3 probes passed")
    life.sees("auth", purpose="probe")
    life.sees("rate_limited", after_s=72)
    assert (life.health.state, life.health.reason) == ("half_open", "0 of 3 probes passed")


def test_only_probes_close_it() -> None:
    life = open_life()
    life.sleeps()
    life.sees(*["ok"] * 5)
    life.sees("ok", "ok", purpose="judgement", incompleteness=0.0)
    life.sees("rate_limited", "not_found", "empty", purpose="probe")
    assert life.health.reason == "0 of 3 probes passed"
    life.sees("ok", "ok", purpose="probe")
    life.sees("empty", purpose="probe")
    assert (life.health.state, life.health.reason) == ("half_open", "0 of 3 probes passed")


def test_a_judgement_of_what_was_served_before_does_not_open_it_again() -> None:
    life = open_life()
    life.sleeps()
    life.sees("ok", purpose="judgement", incompleteness=1.0)
    assert life.health.state == "half_open"


def test_a_provider_that_is_slow_by_nature_is_let_in_again() -> None:
    life = open_life()
    life.sleeps()
    life.sees("ok", "ok", "ok", purpose="probe", latency_ms=900)
    assert life.timeline()[-1] == ("closed", "3 probes passed, score 0.89")


def test_failures_that_the_window_still_holds_delay_the_return() -> None:
    life = open_life(HealthRules(cooldown_s=5))
    life.sleeps()
    life.sees("ok", "ok", purpose="probe")
    life.sees("ok", purpose="probe")
    assert life.health.reason == "3 of 3 probes passed, score 0.68 below 0.7"
    life.sees("ok", purpose="probe", after_s=60)
    assert life.timeline()[-1] == ("closed", "4 probes passed, score 0.99")


def test_an_empty_window_of_a_provider_that_is_not_asked_closes_nothing() -> None:
    life = open_life()
    life.sleeps()
    life.waits(10_000)
    assert life.health.state == "half_open"


@settings(max_examples=60, deadline=None)
@given(LIVES)
def test_the_breaker_never_flaps_faster_than_the_cool_down(
    steps: Steps,
) -> None:
    life = Life()
    opened: int | None = None
    probes = 0
    for after_s, one in steps:
        before = life.health
        after = life.waits(after_s) if one is None else life.takes(one, after_s)
        moves = after.transitions - before.transitions
        # one that wakes and fails in the same moment is open again
        woke = before.state == "open" and moves > 0
        if woke:
            assert before.retry_at is not None
            assert opened is not None
            assert opened + 60 * S <= before.retry_at <= opened + 72 * S
            assert life.now >= before.retry_at
            probes = 0
            moves -= 1
        assert moves in (0, 1)
        if before.state == "open" and not woke:
            assert (after.state, after.reason, after.retry_at) == ("open", before.reason, before.retry_at)
        if after.state == "open" and moves:
            assert one is not None
            assert opened is None or life.now - opened >= 60 * S
            opened = life.now
            assert after.since == life.now
        state = "half_open" if woke else before.state
        if one is not None and state == "half_open" and one.purpose == "probe" and one.outcome == "ok":
            probes += 1
        if state == "half_open" and after.state == "closed":
            assert one is not None
            assert one.purpose == "probe"
            assert one.outcome not in FAILURES
            assert probes >= RULES.min_samples
            assert after.score >= RULES.promote
        assert (after.retry_at is not None) == (after.state == "open")


@settings(max_examples=30, deadline=None)
@given(LIVES)
def test_whoever_falls_comes_back_when_it_is_well(steps: Steps) -> None:
    life = live(steps)
    for _ in range(2):  # what a last failure has opened again
        life.waits(80)
        life.sees("ok", "ok", "ok", purpose="probe", after_s=20.5)
    assert life.health.state == "closed"


def test_rows_that_are_proved_wrong_open_at_once_however_few() -> None:
    life = Life()
    life.sees(*["ok"] * 20)
    assert life.sees("ok", purpose="proof", incompleteness=0.0).state == "closed"
    found = life.sees("ok", purpose="proof", incompleteness=0.3, detail="close of 14:31:00Z")
    assert (found.state, found.reason) == ("open", "30% of the rows missing or wrong (close of 14:31:00Z)")


def test_what_one_other_provider_says_does_not_open_at_once() -> None:
    life = Life()
    life.sees(*["ok"] * 20)
    assert life.sees("ok", purpose="judgement", incompleteness=1.0).state == "closed"


def test_a_probe_whose_rows_are_wrong_has_failed() -> None:
    life = Life()
    life.sees(*["away"] * 3)
    life.sleeps()
    assert life.health.state == "half_open"
    assert life.sees("ok", purpose="probe", incompleteness=0.0).passes == 1
    assert life.sees("ok", purpose="probe", incompleteness=0.2).state == "open"


def test_an_old_lie_does_not_count_against_a_probe_that_is_well() -> None:
    life = Life()
    life.sees(*["away"] * 3)
    life.sleeps()
    assert life.sees("ok", purpose="proof", incompleteness=1.0).state == "half_open"
