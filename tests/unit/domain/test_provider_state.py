"""The fold: the same outcomes make the same record, once only, in every worker and after a restart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from domain.health import MAX_SAMPLES
from domain.provider_state import changed, fold, fresh, tick
from schemas.outcome import Asked
from schemas.provider_health import HISTORY, ProviderHealth
from tests.unit.domain.outcomes import AAPL, LIVES, RULES, START, Life, S, Steps, live, outcome

PROPERTY = settings(max_examples=40, deadline=None)
MSFT = Asked(symbol="MSFT", interval="1d")


def test_a_fresh_one_is_fit_and_knows_where_it_begins() -> None:
    assert fresh("iex", START, partition=2, position=7) == ProviderHealth(
        provider="iex", state="closed", score=1.0, since=START, ts=START, partition=2, position=7
    )


def test_an_outcome_becomes_a_sample_at_the_time_of_its_record() -> None:
    health = fold(fresh("polygon", START), outcome(ts=START - 5 * S), RULES, now_ns=START + S, position=4)
    assert [s.ts for s in health.samples] == [START + S]
    assert (health.position, health.ts, health.since) == (4, START + S, START)
    assert health.score == pytest.approx(1 - 0.25 * 40 / 2_000)


def test_what_says_nothing_moves_the_position_alone() -> None:
    life = Life()
    life.sees("ok", "away")
    before = life.health
    after = life.sees("rate_limited", asked=AAPL)
    assert after == before.model_copy(update={"position": 3, "ts": life.now})
    # time passes all the same
    assert life.sees("rate_limited", after_s=61).samples == ()


@PROPERTY
@given(LIVES)
def test_every_record_obeys_its_contract(steps: Steps) -> None:
    for record in live(steps).records:
        # built without validation, for speed: what is published is read with it
        assert ProviderHealth.model_validate_json(record.model_dump_json()) == record
        assert len(record.samples) <= MAX_SAMPLES


@PROPERTY
@given(LIVES)
def test_the_same_sequence_makes_the_same_record_also_after_a_restart(steps: Steps) -> None:
    once = live(steps)
    again = Life()
    for after_s, one in steps:
        # each step by another worker, that has but the record of the table
        again.records.append(ProviderHealth.model_validate_json(again.health.model_dump_json()))
        if one is None:
            again.waits(after_s)
        else:
            again.takes(one, after_s)
    assert again.health == once.health


@PROPERTY
@given(LIVES)
def test_a_prefix_that_is_folded_again_changes_nothing(steps: Steps) -> None:
    life = live(steps)
    health, now = life.health, START
    position = 0
    for after_s, one in steps:
        now += int(after_s * S)
        if one is not None:
            position += 1
            assert fold(health, one, RULES, now_ns=now, position=position) is health


@PROPERTY
@given(LIVES)
def test_whoever_looks_at_the_clock_more_often_comes_to_the_same_breaker(steps: Steps) -> None:
    seldom, often = Life(), Life()
    # `since` and the history tell when it was looked at, nothing else does
    looked: dict[str, Any] = {"since": 0, "history": (), "ts": START}
    for after_s, one in steps:
        # late in the pause, so that a cool-down may have ended already
        often.waits(after_s * 7 / 8)
        often.waits(after_s / 16)
        for life, rest_s in ((seldom, after_s), (often, after_s / 16)):
            if one is None:
                life.waits(rest_s)
            else:
                life.takes(one, rest_s)
        assert often.health.model_copy(update=looked) == seldom.health.model_copy(update=looked)


@PROPERTY
@given(LIVES)
def test_after_the_window_the_past_is_forgotten(steps: Steps) -> None:
    life = live(steps)
    life.waits(RULES.window_s + 1)
    assert life.health.samples == ()
    assert (life.health.terms.latency, life.health.terms.errors, life.health.terms.completeness) == (1, 1, 1)


def test_time_without_effect_is_no_new_record() -> None:
    life = Life()
    life.sees("ok")
    assert tick(life.health, RULES, life.now + 9 * S) is life.health


def test_time_slides_the_window_and_the_score_with_it() -> None:
    life = Life()
    life.sees("ok", latency_ms=2_000)
    life.sees("ok", after_s=55)
    assert life.health.score == pytest.approx(0.75)
    life.waits(6)
    assert life.health.score == pytest.approx(0.995)
    assert life.health.ts == life.now


def test_the_history_has_a_point_every_ten_seconds_and_one_at_each_change_of_state() -> None:
    life = Life()
    life.waits(0)
    for _ in range(8):
        life.sees("ok", after_s=3)
    life.sees("auth", after_s=0.5)
    at = [round((p.ts - START) / S, 1) for p in life.health.history]
    assert at == [0, 12, 24, 24.5]
    assert [p.score for p in life.health.history][-1] == life.health.score
    assert life.health.score < 0.55


def test_the_history_keeps_the_last_sixty() -> None:
    life = Life()
    for _ in range(HISTORY + 5):
        life.waits(10)
    assert len(life.health.history) == HISTORY
    assert life.health.history[0].ts == START + 60 * S
    assert life.health.history[-1].ts == life.now


def test_a_probe_asks_what_a_job_asked_last() -> None:
    life = Life()
    assert life.health.asked is None
    life.sees("ok", asked=AAPL)
    life.sees("away", asked=MSFT)
    life.sees("ok")
    life.sees("ok", asked=AAPL, purpose="judgement")
    assert life.health.asked == MSFT


@pytest.mark.parametrize("how", ["not_found", "entitlement", "bad_request", "rate_limited"])
def test_a_probe_does_not_ask_what_cannot_be_answered(how: str) -> None:
    life = Life()
    life.sees("ok", asked=AAPL)
    assert life.sees(how, asked=MSFT).asked == AAPL


@pytest.mark.parametrize(
    ("how", "kept"),
    [("ok", True), ("rate_limited", True), ("empty", False), ("malformed", False), ("not_found", False)],
)
def test_what_a_probe_got_no_rows_of_is_not_asked_again(how: str, kept: bool) -> None:
    life = Life()
    life.sees("away", "away", "away", asked=AAPL)
    life.sleeps()
    assert (life.sees(how, purpose="probe").asked == AAPL) is kept


def test_what_a_probe_got_wrong_rows_of_is_not_asked_again() -> None:
    life = Life()
    life.sees("auth", asked=AAPL)
    life.sleeps()
    assert life.sees("ok", purpose="probe", incompleteness=0.6).asked is None


def test_what_all_workers_must_know_at_once_is_a_state_or_a_reason() -> None:
    life = Life()
    for _ in range(2):
        before = life.health
        assert not changed(before, life.sees("away"))
    before = life.health
    assert changed(before, life.sees("away"))
    before = life.health
    assert changed(before, life.sleeps())
    before = life.health
    assert changed(before, life.sees("ok", purpose="probe"))
    before = life.health
    assert not changed(before, life.sees("ok"))
    assert changed(before, before.model_copy(update={"state": "closed"}))
