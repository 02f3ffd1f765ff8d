"""What holds of every request, whoever is sick, away, limited, mute, mistaken or late."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import BarsRequest
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderAway,
    RateLimited,
)
from schemas.outcome import FAILURES
from schemas.provider import ProviderName
from tests.unit.providers.desk import (
    MINUTE_NS,
    NOW_NS,
    OPEN_NS,
    POLICY,
    SESSION,
    SICK,
    Desk,
    Shelf,
    minutes,
    rows_of,
)

SYMBOLS = ("A", "B", "C")
KINDS = (AuthFailed, BadRequest, EntitlementMissing, Malformed, NotFound, ProviderAway)
CLAIMS = ("ok", "empty", "not_found", "bad_request")


@st.composite
def trouble(draw: st.DrawFn, provider: str) -> Exception | None:
    """One of everything that can come of asking."""
    which = draw(st.integers(-2, len(KINDS)))
    if which < 0:
        return None
    if which == len(KINDS):
        wait_s = draw(st.sampled_from([0.0, 5.0, 60.0]))
        code = draw(st.sampled_from(["", "budget"]))
        return RateLimited("slow down", provider=provider, code=code, retry_after_s=wait_s)
    return KINDS[which]("trouble", provider=provider)


@st.composite
def desks(draw: st.DrawFn) -> Desk:
    """Some providers, each with some of the bars, some of them sick."""
    names: list[ProviderName] = draw(st.lists(st.sampled_from(POLICY), min_size=1, unique=True))
    shelves = []
    for name in names:
        has = {s: SESSION[: draw(st.sampled_from([0, 2, 200, 390]))] for s in SYMBOLS}
        until = draw(st.sampled_from([1 << 62, OPEN_NS, OPEN_NS + 90 * MINUTE_NS]))
        shelf = Shelf(name, "iex" if name == "iex" else "consolidated", has, until_ns=until)
        shelf.troubles = draw(st.lists(trouble(name), max_size=3))
        shelves.append(shelf)
    desk = Desk(*shelves)
    desk.standings = dict.fromkeys(draw(st.sets(st.sampled_from(POLICY))), SICK)
    return desk


requests = st.builds(
    lambda symbols, end: minutes(*symbols, end_ns=end),
    st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True),
    st.sampled_from([SESSION[-1], NOW_NS, NOW_NS + 60 * MINUTE_NS]),
)


@settings(max_examples=300, deadline=None)
@given(desks(), st.lists(st.tuples(requests, st.booleans()), min_size=1, max_size=4))
def test_every_request_ends_well(desk: Desk, jobs: list[tuple[BarsRequest, bool]]) -> None:
    for request, allow in jobs:
        before = {name: len(shelf.asked) for name, shelf in desk.shelves.items()}
        reports = len(desk.reports)
        # whatever is said of every symbol is checked there
        served = asyncio.run(desk.serve(request, allow_downgrade=allow))
        asked = {name: shelf.asked[before[name] :] for name, shelf in desk.shelves.items()}

        # nobody who is sick is asked, and nobody twice for a symbol; of each coverage two claims are enough
        assert not [name for name, those in asked.items() if those and name in desk.standings]
        for those in asked.values():
            assert max(Counter(s for one in those for s in one.symbols).values(), default=0) <= 1
        mute = {name for name, shelf in desk.shelves.items() if shelf.until_ns == OPEN_NS} | {"iex"}
        claims = [a for a in served.attempts if a.outcome in CLAIMS and a.provider not in mute]
        assert len(claims) <= 2
        assert len(served.attempts) == sum(map(len, asked.values()))

        # kinds are never mixed, and what is lesser says so and waits for better
        for answer in served.answers:
            assert answer.provisional is (answer.result.source.coverage != "consolidated")
            assert allow or not answer.provisional
        lesser = {s for s, _ in rows_of(a.result for a in served.answers if a.provisional)}
        assert lesser == {s for rest in served.rest if rest.heal for s in rest.request.symbols}

        # what waits is part of the request
        for rest in served.rest:
            assert set(rest.request.symbols) <= set(request.symbols)
            assert rest.request.start_ns is not None
            assert request.start_ns <= rest.request.start_ns
            assert rest.request.end_ns == request.end_ns
            assert rest.why

        # the fleet hears of every request that was sent, once, and of nobody twice that it was wrong
        told = desk.reports[reports:]
        ours = [a for a in served.attempts if a.outcome == "rate_limited" and "slow" in a.detail]
        jobs_told = Counter((r.provider, r.outcome) for r in told if r.purpose == "job")
        made = Counter((a.provider, a.outcome) for a in served.attempts)
        assert jobs_told <= made
        assert sum((made - jobs_told).values()) <= len(ours)
        judged = Counter(r.provider for r in told if r.purpose == "judgement")
        assert max(judged.values(), default=0) <= 1
        assert not [r for r in told if r.purpose == "judgement" and r.outcome in FAILURES]
