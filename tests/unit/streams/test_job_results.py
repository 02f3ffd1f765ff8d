"""What is stored of a served job: what is final, what waits, what healing takes away."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from providers.base import BarRow, BarsRequest, BarsResult, QuoteRow, QuotesRequest, QuotesResult, Source
from providers.serving import Answer, Rest, Served, Wants
from providers.sessions import day_of, midnight_ns
from schemas.instant import nanos
from streams import job_results
from streams.job_results import final_before_ns

MINUTE_NS = 60_000_000_000
ASKED = nanos(datetime(2026, 1, 6, 15, 0, tzinfo=UTC))
REQUEST = BarsRequest(("AAPL", "MSFT"), "1m", ASKED - 60 * MINUTE_NS, ASKED)
ROW = BarRow("AAPL", ASKED - 30 * MINUTE_NS, 1, 1, 1, 1, 1, None, None)
SIP = Source("polygon", "sip", "consolidated", "polygon.v1")
IEX = Source("iex", "tiingo", "iex", "tiingo.v1")


def answer(source: Source = SIP, *, provisional: bool = False) -> Answer:
    return Answer(BarsResult([ROW], source, "raw", (REQUEST.start_ns, REQUEST.end_ns)), provisional, ASKED)


@pytest.mark.parametrize(
    ("provider", "minutes"), [("polygon", 16), ("alpaca", 2), ("finnhub", 2), ("iex", 2)]
)
def test_a_minute_is_final_after_its_end_and_the_vendors_grace(provider: str, minutes: int) -> None:
    bound = final_before_ns(provider, "1m", ASKED)  # type: ignore[arg-type]
    assert ASKED - minutes * MINUTE_NS < bound, "the bar that began so many minutes ago is final"
    assert ASKED - (minutes - 1) * MINUTE_NS >= bound, "the one after it is not"


@pytest.mark.parametrize(("clock", "final"), [((20, 14), False), ((20, 16), True)])
def test_a_day_is_final_in_its_evening(clock: tuple[int, int], final: bool) -> None:
    midnight = midnight_ns(day_of(date(2026, 1, 6)))
    at = midnight + (clock[0] * 60 + clock[1]) * MINUTE_NS
    assert (midnight < final_before_ns("polygon", "1d", at)) is final
    assert midnight_ns(day_of(date(2026, 1, 5))) < final_before_ns("polygon", "1d", at)


def test_lesser_coverage_is_never_final() -> None:
    (bars,) = job_results.bars([answer(IEX, provisional=True)], "1m")
    assert bars.final_before_ns == 0
    assert (bars.provider, bars.feed, bars.coverage, bars.rule) == ("iex", "tiingo", "iex", "tiingo.v1")
    (bars,) = job_results.bars([answer()], "1m")
    assert bars.final_before_ns == final_before_ns("polygon", "1m", ASKED)
    assert bars.as_of_ns == ASKED


def test_a_delayed_plan_has_not_seen_the_last_quarter_of_an_hour() -> None:
    delayed = Source("alpaca", "sip", "consolidated", "alpaca.v1", delayed=True)
    (bars,) = job_results.bars([answer(delayed)], "1h")
    assert bars.final_before_ns == final_before_ns("alpaca", "1h", ASKED - 16 * MINUTE_NS)


def test_answers_without_rows_leave_nothing() -> None:
    empty = Answer(BarsResult([], SIP, "raw", (0, 1)), provisional=False, asked_ns=ASKED)
    assert job_results.bars([empty], "1m") == []
    assert job_results.quotes([empty, answer()]) == []
    quote = QuotesResult([QuoteRow("AAPL", 1, 1.0, 1.0, 2.0, 1.0)], SIP)
    (quotes,) = job_results.quotes([Answer(quote, provisional=False, asked_ns=ASKED)])
    assert (quotes.provider, quotes.coverage, len(quotes.rows)) == ("polygon", "consolidated", 1)


def test_what_heals_asks_for_the_better_source_alone() -> None:
    wants = Wants("j", allow_downgrade=True, hint="alpaca")
    rest = [
        Rest(REQUEST, "why", never=False, heal=True),
        Rest(REQUEST, "later", never=False, not_before_ns=7),
        Rest(REQUEST, "never", never=True),
    ]
    heals, waits = job_results.waiting(rest, wants)
    assert (heals.heal, heals.allow_downgrade, heals.hint) == (True, False, "alpaca")
    assert (waits.heal, waits.allow_downgrade, waits.not_before_ns, waits.why) == (False, True, 7, "later")
    assert job_results.never(rest) == "never"
    assert job_results.never(rest[:2]) == ""


def test_healing_takes_away_what_the_better_source_does_not_have() -> None:
    (void,) = job_results.healed(REQUEST, Served(answers=[answer()]))
    assert (void.symbols, void.start_ns, void.end_ns) == (["AAPL", "MSFT"], REQUEST.start_ns, REQUEST.end_ns)


def test_healing_spares_symbols_of_which_the_better_source_says_nothing() -> None:
    (void,) = job_results.healed(REQUEST, Served(answers=[answer()], empty=("MSFT",)))
    assert void.symbols == ["AAPL"]
    assert job_results.healed(REQUEST, Served(empty=("AAPL", "MSFT"))) == []


def test_healing_that_is_not_complete_takes_nothing_away() -> None:
    left = Rest(REQUEST, "why", never=False)
    assert job_results.healed(REQUEST, Served(answers=[answer()], rest=[left])) == []
    assert job_results.healed(QuotesRequest(("AAPL",)), Served()) == []
