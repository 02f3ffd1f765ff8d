"""One request on its way: from provider to provider until every symbol is served, or nobody is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from domain.clock import Clock
from domain.routing import Decision
from providers.attempts import Attempts, Tried
from providers.base import INTERVAL_NS, BarsRequest
from providers.ranking import Ranking, Standings
from providers.serving import Answer, Request, Rest, Rules, Served, Wants, kind_of
from providers.sessions import SECOND_NS, midnight_ns, session_of
from providers.suspicion import doubts, incompleteness, spans
from schemas.outcome import Outcome
from schemas.provider import Coverage, ProviderName

#: what is taken instead, if the request allows it
LESSER: Final[dict[Coverage, Coverage]] = {"consolidated": "iex"}
MAX_SAID: Final = 120


@dataclass(slots=True)
class _Passed:
    """What became of a request, of one coverage."""

    answers: list[Answer] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    left: list[Rest] = field(default_factory=list)
    open: list[Rest] = field(default_factory=list)
    """What one provider alone has claimed."""


class Asking:
    """Serves one request. Nothing of it outlives `run`: it has one thing under way at a time."""

    def __init__(
        self,
        ranking: Ranking,
        attempts: Attempts,
        clock: Clock,
        wants: Wants,
        standings: Callable[[], Standings],
        rules: Rules,
    ) -> None:
        """Take whom to ask and by which rules."""
        self._ranking = ranking
        self._attempts = attempts
        self._clock = clock
        self._wants = wants
        self._standings = standings
        self._rules = rules
        self._served = Served()
        self._binding = wants.coverage
        """Of which coverage a provider may say that the request is wrong."""

    async def run(self, request: Request) -> Served:
        """Ask, and return what came of it."""
        served, wants = self._served, self._wants
        passed = await self._pass(request, wants.coverage)
        served.answers, served.rest = passed.answers, passed.left
        lesser = LESSER.get(wants.coverage) if wants.allow_downgrade else None
        if lesser is not None and passed.left and not served.wrong:
            served.rest = []
            for rest in passed.left:
                served.rest += await self._downgrade(rest, lesser, passed)
        served.rest += passed.open
        waits = {symbol for rest in served.rest for symbol in rest.request.symbols}
        served.empty = tuple(symbol for symbol in passed.empty if symbol not in waits)
        return served

    async def _downgrade(self, rest: Rest, lesser: Coverage, passed: _Passed) -> list[Rest]:
        """Serve what is left with lesser coverage, and return what is left then."""
        if rest.never:
            self._binding = lesser
        lower = await self._pass(rest.request, lesser)
        passed.answers += lower.answers
        lower.left += lower.open
        if rest.never:  # there is nothing better to wait for
            passed.empty += lower.empty
            return lower.left
        found = {symbol for answer in lower.answers for symbol in spans(answer.result.rows)}
        why = "; ".join([rest.why, *(f"{lesser}: {left.why}" for left in lower.left[:1])])
        parts = []
        for heal in (True, False):
            symbols = tuple(s for s in rest.request.symbols if (s in found) is heal)
            if symbols:
                part = replace(rest.request, symbols=symbols)
                parts.append(Rest(part, why, never=False, not_before_ns=rest.not_before_ns, heal=heal))
        return parts

    async def _pass(self, request: Request, coverage: Coverage) -> _Passed:
        """Ask those who have one coverage."""
        passed = _Passed()
        tried: dict[ProviderName, Outcome] = {}
        if request.start_ns is not None and request.start_ns >= self._clock.now_ns():
            passed.left.append(self._rest(request, coverage, tried))
            return passed
        first = await self._first(request, coverage, tried, passed)
        if first is None or self._served.wrong:
            return passed
        doubted: tuple[str, ...] = request.symbols
        if first.result is not None:
            self._take(first, coverage, passed)
            silent = tuple(s for s in request.symbols if s not in first.request.symbols)
            doubted = silent + doubts(first.request, first.result, first.asked_ns)
            passed.left += self._uncovered(request, first)
        second = await self._second(request, doubted, coverage, tried) if doubted else None
        if second is not None and second.result is not None:
            self._take(second, coverage, passed)
            self._judge(first, second)
            if first.result is None:
                passed.left += self._uncovered(second.request, second)
        open_ = self._open(request, doubted, coverage, first, tried) if second is None else None
        if open_ is not None:
            passed.open.append(open_)
        waits = open_.request.symbols if open_ is not None else ()
        found = {symbol for answer in passed.answers for symbol in spans(answer.result.rows)}
        passed.empty += [symbol for symbol in request.symbols if symbol not in found and symbol not in waits]
        return passed

    def _open(
        self,
        request: Request,
        doubted: Sequence[str],
        coverage: Coverage,
        first: Tried,
        tried: Mapping[ProviderName, Outcome],
    ) -> Rest | None:
        """Return what one provider alone has claimed, while another could settle it later; None if none can.

        Were the claim taken, a vendor in trouble could empty a series while the others rest.
        """
        if not doubted:
            return None
        decision = self._decide(request, coverage)
        at = self._ranking.settled_ns(request, coverage, self._standings(), decision, first.provider)
        if at is None:
            return None
        why = f"{first.provider} has nothing or too little, and nobody else can be asked now; "
        return Rest(
            _of(request, tuple(doubted)), why + self._why(decision, tried), never=False, not_before_ns=at
        )

    async def _first(
        self, request: Request, coverage: Coverage, tried: dict[ProviderName, Outcome], passed: _Passed
    ) -> Tried | None:
        """Return the first answer, rows or not; None if nobody answers, and then the request is left."""
        kind = kind_of(request)
        while True:
            decision = self._decide(request, coverage)
            provider = next((p for p in decision.order if p not in tried), None)
            if provider is None:
                break
            known = self._ranking.negatives.known(provider, kind, request.symbols, self._clock.monotonic())
            if not known:
                tried[provider] = "not_found"
                # said before: it is not judged for it again
                return Tried(provider, "not_found", _of(request, known), self._clock.now_ns())
            one = await self._ask(provider, _of(request, known), coverage, tried)
            if one.outcome == "bad_request" and coverage == self._binding:
                self._served.wrong = one.detail
                return None
            if one.outcome == "not_found" or (one.result is not None and not _is_nothing(one)):
                return one
        ends = () if decision.order else self._ranking.cuts(request, coverage, decision)
        for end in ends:
            seen = replace(request, end_ns=end)
            if self._decide(seen, coverage).order:
                part = await self._pass(seen, coverage)
                passed.answers += part.answers
                passed.empty += part.empty
                passed.left += part.left
                passed.open += part.open
                request = replace(request, start_ns=end)
                break
        passed.left.append(self._rest(request, coverage, tried))
        return None

    async def _second(
        self, request: Request, doubted: Sequence[str], coverage: Coverage, tried: dict[ProviderName, Outcome]
    ) -> Tried | None:
        """Return what one more provider says of symbols in doubt; None if there is nobody to ask."""
        kind = kind_of(request)
        while True:
            order = self._decide(request, coverage).order
            provider = next((p for p in order if p not in tried), None)
            if provider is None:
                return None
            known = self._ranking.negatives.known(provider, kind, tuple(doubted), self._clock.monotonic())
            if not known:  # it has said so before, which is a claim as well
                return Tried(provider, "not_found", _of(request, known), self._clock.now_ns())
            one = await self._ask(provider, _of(request, known), coverage, tried)
            if one.outcome in ("not_found", "bad_request") or (
                one.result is not None and not _is_nothing(one)
            ):
                return one

    async def _ask(
        self, provider: ProviderName, request: Request, coverage: Coverage, tried: dict[ProviderName, Outcome]
    ) -> Tried:
        one = await self._attempts.ask(
            provider, request, coverage, self._wants.job_id, self._rules, self._served.attempts
        )
        tried[provider] = one.outcome
        return one

    def _decide(self, request: Request, coverage: Coverage) -> Decision:
        return self._ranking.decide(request, coverage, self._wants, self._standings(), self._rules)

    def _take(self, one: Tried, coverage: Coverage, passed: _Passed) -> None:
        if one.result is not None and one.result.rows:
            passed.answers.append(Answer(one.result, coverage != self._wants.coverage, one.asked_ns))

    def _judge(self, first: Tried, second: Tried) -> None:
        assert second.result is not None
        if not second.result.rows:
            return
        kind, now = kind_of(first.request), self._clock.monotonic()
        for symbol in spans(second.result.rows):
            self._ranking.negatives.dispute(first.provider, kind, symbol, now)
        missing = incompleteness(first.request.symbols, first.result, second.result)
        if missing:
            self._attempts.judge(first, missing, second, self._wants.job_id)

    def _uncovered(self, request: Request, one: Tried) -> list[Rest]:
        """Return the end of the window that an answer does not cover: what had not happened, or a delay."""
        covered = one.result.covered_ns if one.result is not None else None
        if covered is None or request.end_ns is None or covered[1] >= request.end_ns:
            return []
        wait_ns = max(request.end_ns - covered[1], SECOND_NS)
        until = datetime.fromtimestamp(covered[1] // SECOND_NS, UTC)
        why = f"{one.provider}: up to {until:%Y-%m-%dT%H:%M:%SZ} so far"
        start = max(request.start_ns or 0, _bar_begin(request, covered[1]))
        left = replace(request, start_ns=start)
        return [Rest(left, why, never=False, not_before_ns=self._clock.now_ns() + wait_ns)]

    def _rest(self, request: Request, coverage: Coverage, tried: dict[ProviderName, Outcome]) -> Rest:
        decision = self._decide(request, coverage)
        broken = frozenset(p for p, outcome in tried.items() if outcome == "malformed")
        why = self._why(decision, tried)
        if decision.never:
            return Rest(request, why, never=True)
        at = self._ranking.not_before_ns(request, coverage, self._standings(), decision, broken)
        if request.start_ns is not None and request.end_ns is not None:
            now_ns = self._clock.now_ns()
            at = max(at, request.end_ns) if request.start_ns >= now_ns else at
        return Rest(request, why, never=False, not_before_ns=at)

    def _why(self, decision: Decision, tried: Mapping[ProviderName, Outcome]) -> str:
        said = [
            f"{a.outcome}: {a.detail[:MAX_SAID]}"
            for a in self._served.attempts
            if a.provider in tried and a.detail
        ]
        return "; ".join([decision.explain(), *(["tried: " + ", ".join(said)] if said else [])])


def _of(request: Request, symbols: tuple[str, ...]) -> Request:
    return request if symbols == request.symbols else replace(request, symbols=symbols)


def _is_nothing(one: Tried) -> bool:
    """Return whether an answer is of no time at all: it claims nothing."""
    covered = one.result.covered_ns if one.result is not None else None
    return covered is not None and covered[0] >= covered[1]


def _bar_begin(request: Request, at_ns: int) -> int:
    """Return the start of the bar that was under way at a moment: it was not whole."""
    if not isinstance(request, BarsRequest):
        return at_ns
    if request.interval == "1d":
        return midnight_ns(session_of(at_ns))
    return at_ns - at_ns % INTERVAL_NS[request.interval]
