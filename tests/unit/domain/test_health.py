"""The score: what it is made of, that no failure raises it, that what is old is forgotten."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.health import MAX_SAMPLES, HealthRules, failed, sample, score, terms, windowed
from schemas.outcome import FAILURES, NEUTRAL, Outcome
from schemas.provider_health import HealthSample, HealthTerms, State
from tests.unit.domain.outcomes import RULES, START, S, outcome

PROPERTY = settings(max_examples=60, deadline=None)
STATES: tuple[State, ...] = get_args(State)


def answer(
    ms: float | None = 40.0, *, bad: bool = False, lost: float | None = None, at: int = 0
) -> HealthSample:
    return HealthSample(ts=START + at * S, failed=bad, latency_ms=ms, incompleteness=lost)


samples = st.lists(
    st.builds(
        answer,
        st.none() | st.floats(0, 10_000),
        bad=st.booleans(),
        lost=st.none() | st.floats(0, 1),
    ),
    max_size=MAX_SAMPLES,
)
states = st.sampled_from(STATES)
weights = (
    st.tuples(*[st.integers(0, 100)] * 4).filter(any).map(lambda parts: tuple(p / sum(parts) for p in parts))
)


def health(window: list[HealthSample], state: State = "closed", rules: HealthRules = RULES) -> float:
    return score(terms(window, state, rules), rules.weights)


def test_who_has_not_been_asked_is_well() -> None:
    assert terms([], "closed", RULES) == HealthTerms(breaker=1, latency=1, errors=1, completeness=1)
    assert health([]) == 1.0


@pytest.mark.parametrize(("state", "value"), [("closed", 0.9175), ("half_open", 0.6475), ("open", 0.4675)])
def test_the_score_is_the_formula(state: State, value: float) -> None:
    window = [answer(500)] * 3 + [answer(500, lost=0.2)]
    assert terms(window, "closed", RULES) == HealthTerms(breaker=1, latency=0.75, errors=1, completeness=0.8)
    assert health(window, state) == pytest.approx(value)


def test_the_weights_are_of_breaker_latency_errors_and_completeness() -> None:
    made = HealthTerms(breaker=0.1, latency=0.2, errors=0.3, completeness=0.4)
    alone = [tuple(float(n == k) for n in range(4)) for k in range(4)]
    assert [score(made, one) for one in alone] == [0.1, 0.2, 0.3, 0.4]


def test_latency_is_the_95th_percentile_by_nearest_rank() -> None:
    window = [answer(10.0 * n) for n in range(100, 0, -1)]
    assert terms(window, "closed", RULES).latency == 1 - 950 / 2_000
    # of twenty the nineteenth, of nineteen the last
    assert terms(window[80:], "closed", RULES).latency == 1 - 190 / 2_000
    assert terms(window[81:], "closed", RULES).latency == 1 - 190 / 2_000
    assert terms([answer(9_000)], "closed", RULES).latency == 0


def test_a_fast_failure_is_as_slow_as_the_cap() -> None:
    assert terms([answer(1, bad=True)], "closed", RULES) == HealthTerms(
        breaker=1, latency=0, errors=0, completeness=1
    )
    # what answered too late is not better for having failed later than the cap
    assert terms([answer(9_000, bad=True)], "closed", RULES).latency == 0


def test_a_judgement_is_a_failure_but_no_answer() -> None:
    served_wrong = [answer(), answer(None, bad=True, lost=0.9)]
    assert terms(served_wrong, "closed", RULES) == HealthTerms(
        breaker=1, latency=0.98, errors=0, completeness=0
    )
    assert terms([answer(), *served_wrong], "closed", RULES).errors == 0.5
    assert terms([answer(), answer(None, lost=0.0)], "closed", RULES).errors == 1
    # nothing was asked lately: what was served long ago is all there is
    assert terms([answer(None, bad=True, lost=1.0), answer(None, lost=0.0)], "closed", RULES).errors == 0.5


@pytest.mark.parametrize("how", get_args(Outcome))
def test_every_outcome_is_a_failure_or_says_nothing_or_is_good(how: Outcome) -> None:
    one = sample(outcome(how, latency_ms=70), START + S)
    if how in NEUTRAL:
        assert one is None
    else:
        assert one == HealthSample(ts=START + S, failed=how in FAILURES, latency_ms=70)


@pytest.mark.parametrize(
    ("lost", "bad"), [(None, False), (0.0, False), (0.49, False), (0.5, True), (1.0, True)]
)
def test_an_answer_without_half_of_its_rows_is_a_failure(lost: float | None, bad: bool) -> None:
    one = outcome("ok", incompleteness=lost)
    assert failed(one) is bad
    assert sample(one, START) == HealthSample(ts=START, failed=bad, latency_ms=40, incompleteness=lost)


def test_a_judgement_counts_whatever_its_outcome_says_and_has_no_latency() -> None:
    one = outcome("not_found", purpose="judgement", incompleteness=0.2)
    assert sample(one, START) == HealthSample(ts=START, failed=False, incompleteness=0.2)


@PROPERTY
@given(samples, states, weights)
def test_the_score_and_its_terms_are_from_0_to_1(
    window: list[HealthSample], state: State, weights: tuple[float, ...]
) -> None:
    made = terms(window, state, RULES)
    HealthTerms.model_validate(made.model_dump())
    assert 0 <= score(made, weights) <= 1


@PROPERTY
@given(samples.filter(bool), states, weights, st.data())
def test_an_answer_that_fails_instead_never_raises_the_score(
    window: list[HealthSample], state: State, weights: tuple[float, ...], data: st.DataObject
) -> None:
    rules = HealthRules(weights=weights)
    at = data.draw(st.integers(0, len(window) - 1))
    worse = [*window]
    worse[at] = window[at].model_copy(update={"failed": True})
    assert health(worse, state, rules) <= health(window, state, rules) + 1e-12


@PROPERTY
@given(samples, states, weights, st.floats(0, 10_000), st.none() | st.floats(0, 1))
def test_one_more_failure_never_raises_the_score(
    window: list[HealthSample], state: State, weights: tuple[float, ...], ms: float, lost: float | None
) -> None:
    rules = HealthRules(weights=weights)
    for bad in (answer(ms, bad=True, lost=lost), answer(None, bad=True, lost=lost)):
        assert health([*window, bad], state, rules) <= health(window, state, rules) + 1e-12


@PROPERTY
@given(samples, samples, states)
def test_what_is_older_than_the_window_leaves_no_trace(
    old: list[HealthSample], new: list[HealthSample], state: State
) -> None:
    later = [s.model_copy(update={"ts": s.ts + 61 * S}) for s in new]
    kept = windowed([*old, *later], START + 61 * S, RULES)
    assert list(kept) == later
    assert terms(kept, state, RULES) == terms(new, state, RULES)


def test_the_window_ends_with_the_last_moment_that_is_not_too_old() -> None:
    two = (answer(at=0), answer(at=1))
    assert windowed(two, START + 60 * S, RULES) is two
    assert windowed(two, START + 60 * S + 1, RULES) == two[1:]
    assert windowed(two, START + 10 * S, HealthRules(window_s=9.5)) == two[1:]
    assert windowed(two, START + 62 * S, RULES) == ()


def test_the_window_holds_the_last_hundred() -> None:
    many = tuple(answer(n) for n in range(130))
    assert windowed(many, START, RULES) == many[30:]
