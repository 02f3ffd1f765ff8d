"""The ranking: the fit ones, in the order of the policy, each with its reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.provider_state import fresh
from domain.routing import NOTHING_KNOWN, Candidate, Decision, Standing, Verdict, decide, standing
from schemas.provider import PROVIDERS, ProviderName
from tests.unit.domain.outcomes import START, Life, S

FIT = Standing(fit=True, score=0.93, reason="fit, score 0.93")
SICK = Standing(fit=False, score=0.2, reason="open since 14:30:05Z: auth", retry_at_ns=START)
POLICY: tuple[ProviderName, ...] = ("polygon", "alpaca", "iex")


def table(*candidates: Candidate) -> dict[ProviderName, Candidate]:
    return {c.provider: c for c in candidates}


def everybody(standing: Standing = FIT, lack: str | None = None) -> dict[ProviderName, Candidate]:
    return table(*(Candidate(p, lack, standing) for p in PROVIDERS))


def test_the_table_knows_nothing_bad_of_who_is_not_in_it() -> None:
    assert standing(None) == NOTHING_KNOWN
    assert NOTHING_KNOWN.fit
    assert NOTHING_KNOWN.score == 1.0


def test_a_standing_says_what_operators_read() -> None:
    life = Life()
    life.sees("ok")
    assert standing(life.health) == Standing(fit=True, score=life.health.score, reason="fit, score 0.99")
    life.sees("ok", "away", "away", "away", detail="503 Service Unavailable")
    known = standing(life.health)
    assert not known.fit
    why = "3 failures in a row, the last: away (503 Service Unavailable)"
    assert known.reason == f"open since 14:30:05Z: {why}"
    assert known.retry_at_ns == life.health.retry_at
    life.sleeps()
    life.sees("ok", purpose="probe")
    known = standing(life.health)
    assert (known.fit, known.reason) == (False, "half-open: 1 of 3 probes passed")
    assert known.retry_at_ns is None


def test_the_order_is_the_policys_whatever_the_scores() -> None:
    candidates = everybody() | table(Candidate("polygon", None, Standing(True, 0.6, "fit, score 0.60")))
    decision = decide(POLICY, candidates)
    assert decision.order == POLICY
    assert decision.explain() == ("polygon: fit, score 0.60; alpaca: fit, score 0.93; iex: fit, score 0.93")


def test_everybody_who_is_passed_over_has_a_reason() -> None:
    candidates = table(
        Candidate("polygon", None, SICK),
        Candidate("iex", "coverage", FIT),
        Candidate("finnhub", None, FIT, held_s=2.25, held_why="rate limit"),
    )
    decision = decide(("polygon", "alpaca", "iex", "finnhub"), candidates)
    assert decision == Decision(
        order=(),
        verdicts=(
            Verdict("polygon", fit=False, reason="open since 14:30:05Z: auth", for_ever=False),
            Verdict("alpaca", fit=False, reason="no key", for_ever=False),
            Verdict("iex", fit=False, reason="lacks coverage", for_ever=True),
            Verdict("finnhub", fit=False, reason="rate limit, for 2.2 s", for_ever=False),
        ),
    )
    assert not decision.never


def test_a_hold_without_a_reason_is_still_a_hold() -> None:
    decision = decide(["iex"], table(Candidate("iex", None, FIT, held_s=1.0)))
    assert (decision.order, decision.explain()) == ((), "iex: held, for 1.0 s")


def test_what_it_lacks_goes_before_how_it_does() -> None:
    decision = decide(["iex"], table(Candidate("iex", "extended_hours", SICK, held_s=1.0)))
    assert decision.explain() == "iex: lacks extended hours"
    assert decision.never


def test_nobody_ever_is_not_nobody_now() -> None:
    lacking = everybody(lack="history")
    assert decide(POLICY, lacking).never
    for other in (
        Candidate("iex", None, SICK),
        Candidate("iex", None, FIT, held_s=1.0),
        Candidate("iex", "too_recent", FIT),
        Candidate("iex", None, FIT),
    ):
        assert not decide(POLICY, lacking | table(other)).never
    del lacking["finnhub"]
    assert not decide((*POLICY, "finnhub"), lacking).never  # a key may come


def test_what_a_plan_has_later_is_lacking_for_now() -> None:
    decision = decide(["alpaca"], table(Candidate("alpaca", "too_recent", FIT)))
    assert decision.verdicts == (Verdict("alpaca", fit=False, reason="too recent", for_ever=False),)


def test_a_policy_without_anybody_decides_nothing_for_ever() -> None:
    decision = decide([], everybody())
    assert (decision.order, decision.never, decision.explain()) == ((), False, "the policy names nobody")


def test_a_hint_goes_first_if_it_is_fit() -> None:
    assert decide(POLICY, everybody(), "iex").order == ("iex", "polygon", "alpaca")
    sick = everybody() | table(Candidate("iex", None, SICK))
    assert decide(POLICY, sick, "iex").order == ("polygon", "alpaca")


def test_a_hint_may_be_outside_the_policy_but_not_without_a_key() -> None:
    assert decide(POLICY, everybody(), "finnhub").order == ("finnhub", *POLICY)
    keyed = everybody(lack="coverage")
    del keyed["finnhub"]
    decision = decide(POLICY, keyed, "finnhub")
    assert [v.provider for v in decision.verdicts] == list(POLICY)
    assert decision.never  # a wish is no condition: nobody waits for its key


names = st.sampled_from(PROVIDERS)
candidate = st.builds(
    Candidate,
    names,
    st.sampled_from([None, None, None, "coverage", "too_recent"]),
    st.builds(Standing, st.booleans(), st.floats(0, 1), st.just("")),
    st.sampled_from([0.0, 0.0, 1.5]),
)


@given(
    st.lists(names, unique=True),
    st.lists(candidate).map(lambda them: table(*them)),
    st.none() | names,
)
def test_the_ranking_is_a_permutation_of_the_fit(
    policy: list[ProviderName], candidates: dict[ProviderName, Candidate], hint: ProviderName | None
) -> None:
    wanted = {*policy} | ({hint} if hint else set())
    fit = {
        p
        for p, c in candidates.items()
        if p in wanted and c.lack is None and c.standing.fit and c.held_s == 0
    }
    decision = decide(policy, candidates, hint)
    assert sorted(decision.order) == sorted(fit)
    assert {v.provider for v in decision.verdicts if v.fit} == fit
    rest = [p for p in decision.order if p != hint]
    assert rest == [p for p in policy if p in rest]
    if hint in fit:
        assert decision.order[0] == hint
    assert all(v.reason or v.fit or not candidates[v.provider].standing.fit for v in decision.verdicts)
    assert decide(policy, candidates, hint) == decision


@pytest.mark.parametrize("since_s", [0, 5, 86_399])
def test_times_in_reasons_are_utc(since_s: int) -> None:
    health = fresh("iex", START + since_s * S).model_copy(update={"state": "open", "reason": "auth"})
    at = (14 * 3_600 + 30 * 60 + since_s) % 86_400
    clock = f"{at // 3_600:02}:{at // 60 % 60:02}:{at % 60:02}Z"
    assert standing(health).reason == f"open since {clock}: auth"
