"""The router with the vendors' real clients against the emulator: whoever answers, the rows are the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from domain.routing import Standing
from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import BarsRequest, Provider, QuotesRequest
from providers.capability import Access
from providers.polygon.client import PolygonClient
from providers.polygon.config import PolygonConfig
from providers.router import Router
from providers.serving import Answer, Request, Rules, Served, Wants
from sandbox.market.calendar import MINUTE_NS
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import Plans
from sandbox.vendors.server import Emulator
from schemas.outcome import ProviderOutcome
from schemas.provider import ProviderName
from tests.integration.providers.case import KEY, LONG, NOON_NS, PATIENT, WINDOW
from tests.integration.providers.hosted import MarketClock, hosted
from tests.integration.providers.leftovers import Leftovers
from tests.integration.providers.month import FEW, SHARES_DAY, at, closing
from tests.integration.providers.subject import ALPACA, ALPACA_IEX, FINNHUB, POLYGON, TIINGO, Door, Subject
from tests.integration.providers.truth import Truth, first_difference

pytestmark = pytest.mark.integration

POLICY: tuple[ProviderName, ...] = ("polygon", "alpaca", "finnhub", "iex")
TODAY = date(2025, 11, 14)
SICK = Standing(fit=False, score=0.3, reason="open")
#: by what their rows say, as finnhub's and Tiingo's rows look alike
SUBJECTS = {"polygon": POLYGON, "alpaca": ALPACA, "finnhub": FINNHUB}


class Desk:
    """A router with a client of each vendor, and what came of everything."""

    def __init__(self, emulator: Emulator, subjects: Mapping[ProviderName, Subject]) -> None:
        self.emulator = emulator
        self.subjects = subjects
        self.clock = MarketClock(emulator.time)
        self.standings: dict[ProviderName, Standing] = {}
        self.reports: list[ProviderOutcome] = []
        self.rules = Rules({"bars_1m": POLICY, "bars_1d": POLICY, "quotes_l1": POLICY})
        self.router: Router | None = None
        self._before = dict(emulator.faults.calls)

    def open(self, clients: Mapping[ProviderName, Provider], accesses: Mapping[ProviderName, Access]) -> None:
        """Begin to serve."""
        self.router = Router(clients, accesses, self.clock, self.reports.append, worker="w1")

    async def serve(self, request: Request, **wants: Any) -> Served:
        """Serve, and hold every answer against the truth of its provider."""
        assert self.router is not None
        served = await self.router.serve(request, Wants("job", **wants), lambda: self.standings, self.rules)
        for answer in served.answers:
            self.assert_true(request, answer)
        return served

    def assert_true(self, request: Request, answer: Answer) -> None:
        """Fail if a row of an answer is not what its provider has, or one is missing."""
        result = answer.result
        subject = self.subjects[result.source.provider]
        truth = Truth(self.emulator.views, subject)
        found = {row.symbol for row in result.rows}
        symbols = [symbol for symbol in request.symbols if symbol in found]
        now_ns = self.clock.now_ns()
        if isinstance(request, BarsRequest):
            window = request.start_ns, min(request.end_ns, result.covered_ns[1])  # type: ignore[index]
            wanted: Sequence[object] = truth.bars(
                symbols, request.interval, window, request.adjustment, now_ns
            )
        elif request.start_ns is None or request.end_ns is None:
            wanted = truth.latest(symbols, now_ns)
        else:
            wanted = truth.quotes(symbols, (request.start_ns, request.end_ns))
        assert wanted
        assert not first_difference(result.rows, wanted)

    def requests(self, name: ProviderName) -> int:
        """Return how many requests have reached the vendor of a provider since the desk was opened."""
        every = self.subjects[name].vendor, "*"
        return self.emulator.faults.calls[every] - self._before.get(every, 0)

    def trouble(self, name: ProviderName, kind: str, *, nth: int = 1, times: int = 1_000, **how: Any) -> None:
        """Let the vendor of a provider get into trouble."""
        self.emulator.faults.add(self.subjects[name].vendor, "*", kind, nth=nth, times=times, **how)

    def judged(self) -> list[tuple[str, float | None]]:
        """Return whom a comparison spoke against, and how much."""
        return [(r.provider, r.incompleteness) for r in self.reports if r.purpose == "judgement"]


@pytest.fixture(params=[TIINGO, ALPACA_IEX], ids=lambda subject: subject.name)
def iex(request: pytest.FixtureRequest) -> Subject:
    """Either way to IEX's data."""
    found: Subject = request.param
    return found


@pytest.fixture
async def desk(troubled: Emulator, iex: Subject) -> AsyncIterator[Desk]:
    """All four vendors, and nothing of them afterwards."""
    troubled.faults.clear()
    subjects: dict[ProviderName, Subject] = {
        "polygon": POLYGON,
        "alpaca": ALPACA,
        "finnhub": FINNHUB,
        "iex": iex,
    }
    left = Leftovers()
    async with AsyncExitStack() as stack:
        desk = Desk(troubled, subjects)
        clients = {}
        for name, subject in subjects.items():
            key = KEY.format(vendor=subject.vendor)
            url, secret = troubled.urls[subject.vendor], troubled.secret(key)
            door = Door(url, key, secret, desk.clock, None, PATIENT)
            clients[name] = await stack.enter_async_context(closing(subject.make(door)))
        desk.open(clients, {name: subject.access for name, subject in subjects.items()})
        yield desk
    troubled.faults.clear()
    await left.assert_none()


def providers(served: Served) -> list[str]:
    return [answer.result.source.provider for answer in served.answers]


def outcomes(served: Served) -> list[tuple[str, str]]:
    return [(attempt.provider, attempt.outcome) for attempt in served.attempts]


KINDS: dict[str, Request] = {
    "minutes": BarsRequest(FEW, "1m", *WINDOW),
    "split": BarsRequest(FEW, "5m", *LONG, "split"),
    "hours": BarsRequest(FEW, "1h", *LONG),
    "days": BarsRequest(FEW, "1d", *LONG, "split"),
    "latest": QuotesRequest(FEW),
    "quotes": QuotesRequest(FEW[:2], *WINDOW),
}


@pytest.mark.parametrize("iex", [TIINGO], ids=["tiingo"])
@pytest.mark.parametrize("kind", KINDS)
async def test_all_is_well(desk: Desk, kind: str) -> None:
    served = await desk.serve(KINDS[kind])
    assert providers(served) == ["polygon"]
    assert (served.rest, served.empty) == ([], ())
    assert [(r.provider, r.outcome) for r in desk.reports] == [("polygon", "ok")]
    assert desk.requests("alpaca") == desk.requests("finnhub") == 0


TROUBLES: list[tuple[str, str, dict[str, Any]]] = [
    ("5xx", "away", {"status": 503}),
    ("reset", "away", {}),
    ("truncated", "away", {}),
    ("429", "rate_limited", {}),
    ("wrong_type", "malformed", {}),
    ("status", "auth", {"status": 401, "body": b'{"status":"ERROR","error":"Unknown API Key"}'}),
    ("status", "entitlement", {"status": 403, "body": b'{"status":"NOT_AUTHORIZED","message":"Upgrade"}'}),
]


@pytest.mark.parametrize("iex", [TIINGO], ids=["tiingo"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "outcome", "how"), TROUBLES, ids=lambda v: v if isinstance(v, str) else "")
async def test_polygon_is_in_trouble(
    desk: Desk, kind: str, fault: str, outcome: str, how: dict[str, Any]
) -> None:
    desk.trouble("polygon", fault, **how)
    served = await desk.serve(KINDS[kind])
    assert outcomes(served) == [("polygon", outcome), ("alpaca", "ok")]
    assert providers(served) == ["alpaca"]
    assert served.rest == []
    assert [(r.provider, r.outcome) for r in desk.reports] == [("polygon", outcome), ("alpaca", "ok")]


async def test_two_are_in_trouble_and_the_third_has_the_same_kind(desk: Desk) -> None:
    desk.trouble("polygon", "5xx")
    desk.trouble("alpaca", "5xx")
    served = await desk.serve(KINDS["minutes"])
    assert providers(served) == ["finnhub"]
    assert served.rest == []


async def test_only_iex_is_up(desk: Desk) -> None:
    for name in ("polygon", "alpaca", "finnhub"):
        desk.standings[name] = SICK
    served = await desk.serve(KINDS["minutes"])
    assert served.answers == []
    assert desk.requests("iex") == 0, "what would be mixed is not even asked for"
    (rest,) = served.rest
    assert (rest.never, rest.heal, rest.request) == (False, False, KINDS["minutes"])

    served = await desk.serve(KINDS["minutes"], allow_downgrade=True)
    assert providers(served) == ["iex"]
    assert [(a.provisional, a.result.source.coverage) for a in served.answers] == [(True, "iex")]
    assert [(rest.never, rest.heal) for rest in served.rest] == [(False, True)]

    desk.standings.clear()
    healed = await desk.serve(served.rest[0].request)
    assert providers(healed) == ["polygon"]
    assert [a.provisional for a in healed.answers] == [False]
    assert healed.rest == []


async def test_what_iex_has_of_days_depends_on_its_backend(desk: Desk, iex: Subject) -> None:
    for name in ("polygon", "alpaca", "finnhub"):
        desk.standings[name] = SICK
    served = await desk.serve(KINDS["days"])
    # Tiingo's days are of the consolidated tape, alpaca's iex has IEX alone
    assert providers(served) == (["iex"] if iex is TIINGO else [])


async def test_iex_is_wanted_and_nothing_else_will_do(desk: Desk) -> None:
    served = await desk.serve(KINDS["minutes"], coverage="iex")
    assert providers(served) == ["iex"]
    assert [a.provisional for a in served.answers] == [False]
    assert desk.requests("polygon") == desk.requests("finnhub") == 0


def emptied(body: Any) -> Any:
    """Polygon's answer without its rows, as it says that there are none."""
    return {**body, "results": [], "resultsCount": 0, "queryCount": 0, "count": 0}


def shortened(body: Any) -> Any:
    """Polygon's answer with the first third of its rows."""
    rows = body.get("results", [])
    kept = rows[: len(rows) // 3]
    return {**body, "results": kept, "resultsCount": len(kept), "queryCount": len(kept), "count": len(kept)}


async def test_polygon_says_200_and_nothing(desk: Desk) -> None:
    desk.trouble("polygon", "mutate", change=emptied)
    served = await desk.serve(KINDS["minutes"])
    assert outcomes(served) == [("polygon", "empty"), ("alpaca", "ok")]
    assert (served.empty, served.rest) == ((), [])
    assert {row.symbol for row in served.answers[0].result.rows} == set(FEW)
    assert desk.judged() == [("polygon", 1.0)]


async def test_polygon_says_200_and_nothing_of_one_symbol(desk: Desk) -> None:
    def change(body: Any) -> Any:
        return emptied(body) if body["ticker"] == "AAPL" else body

    desk.trouble("polygon", "mutate", change=change)
    served = await desk.serve(KINDS["minutes"])
    assert [{row.symbol for row in a.result.rows} for a in served.answers] == [{*FEW} - {"AAPL"}, {"AAPL"}]
    all_rows, missing = (
        sum(len(a.result.rows) for a in part) for part in (served.answers, served.answers[1:])
    )
    assert desk.judged() == [("polygon", missing / all_rows)]
    assert 0.1 < missing / all_rows < 0.5


async def test_polygon_stops_in_the_middle_of_the_window(desk: Desk) -> None:
    request = BarsRequest(("AAPL",), "1m", at(SHARES_DAY, 10), at(SHARES_DAY, 16))
    desk.trouble("polygon", "mutate", change=shortened)
    assert desk.router is not None
    served = await desk.router.serve(request, Wants("job"), lambda: desk.standings, desk.rules)
    assert outcomes(served) == [("polygon", "ok"), ("alpaca", "ok")]
    short, whole = served.answers
    assert 3 * len(short.result.rows) <= len(whole.result.rows)
    desk.assert_true(request, whole)
    ((provider, share),) = desk.judged()
    assert provider == "polygon"
    assert share == pytest.approx(2 / 3, abs=0.02)


async def test_a_symbol_of_nobody_and_a_night(desk: Desk) -> None:
    served = await desk.serve(replace(KINDS["minutes"], symbols=(*FEW, "NOPE")))
    assert served.empty == ("NOPE",)
    assert providers(served) == ["polygon"]
    assert outcomes(served)[1] == ("alpaca", "empty")
    night = BarsRequest(FEW, "1m", at(SHARES_DAY, 21), at(SHARES_DAY, 23))
    served = await desk.serve(night)
    assert served.empty == FEW
    assert outcomes(served) == [("polygon", "empty")], "nothing trades at night: nobody else is asked"
    assert desk.judged() == []


async def test_a_quiet_market_is_no_trouble(desk: Desk) -> None:
    # two quiet symbols over a weekend: for what nobody has nobody is blamed
    request = BarsRequest(("BA", "BRK.B"), "1m", at(date(2025, 11, 7), 0), at(date(2025, 11, 11), 0))
    served = await desk.serve(request)
    assert providers(served)[0] == "polygon"
    assert (served.rest, served.empty) == ([], ())
    assert desk.judged() == []


async def test_polygon_dies_in_the_middle_of_many_jobs(desk: Desk, market: Market) -> None:
    desk.trouble("polygon", "5xx", nth=31)
    slots = asyncio.Semaphore(8)

    async def job(n: int) -> Served:
        symbol = market.symbols[n % len(market.symbols)]
        start = at(SHARES_DAY, 10) + n * MINUTE_NS
        async with slots:
            return await desk.serve(BarsRequest((symbol,), "1m", start, start + 90 * MINUTE_NS))

    served = await asyncio.gather(*(job(n) for n in range(120)))
    assert [len(one.answers) for one in served] == [1] * 120
    assert not [one.rest for one in served if one.rest]
    names = [providers(one)[0] for one in served]
    assert set(names) == {"polygon", "alpaca"}
    assert 20 <= names.count("polygon") <= 30
    # those under way when it died, each with its repetition; then it is left alone
    assert desk.requests("polygon") <= 30 + 2 * (8 + 3)


async def test_a_limit_of_the_vendor_is_kept(desk: Desk) -> None:
    desk.trouble("polygon", "429", times=1, retry_after="30")
    assert providers(await desk.serve(KINDS["minutes"])) == ["alpaca"]
    asked = desk.requests("polygon")
    assert providers(await desk.serve(KINDS["minutes"])) == ["alpaca"]
    assert desk.requests("polygon") == asked


async def test_free_plans_on_a_day_that_is_under_way(market: Market) -> None:
    plans = Plans()
    for vendor in ("polygon", "alpaca"):
        account = plans.account(vendor, f"{vendor}-free")
        assert account is not None
        account.rates = ()
    start, end = at(date(2025, 11, 13), 15), at(TODAY, 12)
    with hosted(market, SetTime(NOON_NS), plans) as emulator:
        clock = MarketClock(emulator.time)
        polygon = PolygonConfig.model_validate(
            {"key": "polygon-free", "base_url": emulator.urls["polygon"], "plan": "free"}
        )
        alpaca = AlpacaConfig.model_validate(
            {
                "key_id": "alpaca-free",
                "secret": emulator.secret("alpaca-free"),
                "base_url": emulator.urls["alpaca"],
                "plan": "free",
                "feed": "sip",
            }
        )
        async with (
            closing(PolygonClient(polygon, clock, None, PATIENT)) as first,
            closing(AlpacaClient(alpaca, clock, None, PATIENT)) as second,
        ):
            desk = Desk(emulator, SUBJECTS)  # type: ignore[arg-type]
            desk.open(
                {"polygon": first, "alpaca": second}, {"polygon": polygon.access, "alpaca": alpaca.access}
            )
            # alpaca sees all of it, polygon the day before
            served = await desk.serve(BarsRequest(FEW, "1m", start, end))
            assert providers(served) == ["alpaca"]
            assert served.rest == []
            # alpaca sees all but the last quarter of an hour
            served = await desk.serve(BarsRequest(FEW, "1m", start, NOON_NS))
            assert providers(served) == ["alpaca"]
            (rest,) = served.rest
            assert (rest.request.start_ns, rest.request.end_ns) == (at(TODAY, 12, 4), NOON_NS)
            assert rest.not_before_ns == at(TODAY, 12, 36)
            # without alpaca: the day before
            desk.standings = {"alpaca": SICK}
            served = await desk.serve(BarsRequest(FEW, "1m", start, end))
            assert providers(served) == ["polygon"]
            (rest,) = served.rest
            assert (rest.request.start_ns, rest.request.end_ns) == (at(TODAY, 0), end)
            # time passes, and the rest of it is there
            assert isinstance(emulator.time, SetTime)
            emulator.time.set(at(TODAY, 12, 36))
            desk.standings = {}
            rest_of_it = BarsRequest(FEW, "1m", at(TODAY, 12, 4), NOON_NS)
            served = await desk.serve(rest_of_it)
            assert providers(served) == ["alpaca"]
            assert served.rest == []
