"""From a request to rows: the healthiest provider that can give the same kind of data, then the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domain.clock import Clock
from domain.routing import Decision
from providers.asking import Asking
from providers.attempts import Attempts
from providers.base import Provider
from providers.capability import Access
from providers.ranking import Ranking, Standings
from providers.serving import Request, Rules, Served, Wants
from schemas.outcome import ProviderOutcome
from schemas.provider import ProviderName


class Router:
    """Knows every provider that has a key. For any number of requests at a time, in one loop.

    What this worker learns by asking it keeps for itself: limits, refusals, unknown symbols, failures in a
    row. What the fleet has agreed on comes with every request, as the standings of the provider table.
    """

    def __init__(
        self,
        clients: Mapping[ProviderName, Provider],
        accesses: Mapping[ProviderName, Access],
        clock: Clock,
        report: Callable[[ProviderOutcome], None],
        *,
        worker: str,
    ) -> None:
        """Take the clients; whoever opened them closes them.

        Args:
            clients: by provider.
            accesses: what each client's key and plan open.
            clock: for delays, limits and latencies.
            report: takes each outcome; must not block.
            worker: name in the outcomes.
        """
        self._clock = clock
        self._ranking = Ranking({p: accesses[p] for p in clients}, clock)
        self._attempts = Attempts(clients, self._ranking, clock, report, worker)

    def decide(self, request: Request, wants: Wants, standings: Standings, rules: Rules) -> Decision:
        """Return whom this worker would ask now, best first, and what speaks against the others."""
        return self._ranking.decide(request, wants.coverage, wants, standings, rules)

    async def serve(
        self, request: Request, wants: Wants, standings: Callable[[], Standings], rules: Rules
    ) -> Served:
        """Ask one provider after the other until the request is served or nobody is left.

        No error of a provider is raised: it is an attempt in what is returned.

        Args:
            request: what to ask.
            wants: what will do as an answer.
            standings: of the provider table, read anew before each attempt.
            rules: in force.
        """
        return await Asking(self._ranking, self._attempts, self._clock, wants, standings, rules).run(request)
