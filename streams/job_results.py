"""What was served of a job, as the rows that are stored of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from providers.base import INTERVAL_NS, BarsRequest, BarsResult
from providers.capability import Delay
from providers.serving import Answer, Attempt, Request, Rest, Served, Wants
from providers.sessions import midnight_ns, regular_hours, session_of
from schemas.provider import Interval, ProviderName
from sinks.job_results import AttemptRow, WaitingRow
from sinks.vendor_bars import VendorBars
from sinks.vendor_quotes import VendorQuotes
from sinks.voids import Void
from streams.job_requests import to_json

SECOND_NS = 1_000_000_000
#: how long after its end a vendor may still change a bar of a minute without calling it a correction
GRACE_NS: dict[ProviderName, int] = {
    "polygon": 900 * SECOND_NS,
    "alpaca": 45 * SECOND_NS,
    "finnhub": 60 * SECOND_NS,
    "iex": 60 * SECOND_NS,
}
#: after the close: by 20:15 in New York the day's bar is made
DAY_GRACE_NS = (4 * 3_600 + 900) * SECOND_NS

JobState = Literal["done", "waiting", "failed"]


def bars(answers: Sequence[Answer], interval: Interval) -> list[VendorBars]:
    """Return the bars of answers, with where they come from and which of them are final."""
    return [
        VendorBars(
            rows=answer.result.rows,
            interval=interval,
            adjustment=answer.result.adjustment,
            provider=answer.result.source.provider,
            feed=answer.result.source.feed,
            coverage=answer.result.source.coverage,
            rule=answer.result.source.rule,
            as_of_ns=answer.asked_ns,
            final_before_ns=0 if answer.provisional else _final_before_ns(answer, interval),
        )
        for answer in answers
        if isinstance(answer.result, BarsResult) and answer.result.rows
    ]


def quotes(answers: Sequence[Answer]) -> list[VendorQuotes]:
    """Return the quotes of answers, with where they come from."""
    return [
        VendorQuotes(
            rows=answer.result.rows,
            provider=answer.result.source.provider,
            feed=answer.result.source.feed,
            coverage=answer.result.source.coverage,
        )
        for answer in answers
        if not isinstance(answer.result, BarsResult) and answer.result.rows
    ]


def final_before_ns(provider: ProviderName, interval: Interval, asked_ns: int) -> int:
    """Return the first start of a bar that was not final when a vendor was asked.

    Args:
        provider: who was asked.
        interval: of the bars.
        asked_ns: when, nanoseconds since the epoch.
    """
    if interval == "1d":
        day = session_of(asked_ns)
        _, close = regular_hours(day)
        return midnight_ns(day + 1 if asked_ns >= close + DAY_GRACE_NS else day)
    return asked_ns - INTERVAL_NS[interval] - GRACE_NS[provider] + 1


def _final_before_ns(answer: Answer, interval: Interval) -> int:
    source = answer.result.source
    # a delayed plan has not seen the end of what it shows last
    seen_ns = answer.asked_ns - (Delay.QUARTER * SECOND_NS if source.delayed else 0)
    return final_before_ns(source.provider, interval, seen_ns)


def attempts(made: Sequence[Attempt]) -> list[AttemptRow]:
    """Return the attempts as rows."""
    return [
        AttemptRow(a.provider, a.outcome, a.rows, a.latency_ms, a.at_ns, a.detail, a.symbols) for a in made
    ]


def waiting(rest: Sequence[Rest], wants: Wants) -> list[WaitingRow]:
    """Return what is to be asked again, later."""
    return [
        WaitingRow(
            request=to_json(r.request),
            why=r.why,
            heal=r.heal,
            coverage=wants.coverage,
            # what heals asks for the coverage that was wanted: the lesser one is there
            allow_downgrade=wants.allow_downgrade and not r.heal,
            hint=wants.hint,
            not_before_ns=r.not_before_ns,
        )
        for r in rest
        if not r.never
    ]


def queued(parts: Sequence[Request], wants: Wants, why: str) -> list[WaitingRow]:
    """Return all parts of a job that is too large to be asked at once."""
    return waiting([Rest(part, why, never=False) for part in parts], wants)


def never(rest: Sequence[Rest]) -> str:
    """Return why something can never be served, of the first such rest; empty if all can."""
    return next((r.why for r in rest if r.never), "")


def healed(request: Request, served: Served) -> list[Void]:
    """Return where the better source has said everything, once nothing of a request is left.

    A symbol of which it says that there is nothing keeps its lesser rows: they prove the contrary.
    """
    if not isinstance(request, BarsRequest):
        return []
    symbols = [symbol for symbol in request.symbols if symbol not in served.empty]
    if not symbols or served.rest:
        return []
    return [Void(symbols, request.interval, request.adjustment, request.start_ns, request.end_ns)]
