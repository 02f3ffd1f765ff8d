"""The emulator of one simulated month with everything in it, and clients that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from providers.base import Provider
from providers.http import Timeouts
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import VENDORS, Plans, Rate
from sandbox.vendors.server import Emulator
from tests.integration.providers.case import FRAGMENTS, KEY, NOON_NS, PATIENT, Case, case_of
from tests.integration.providers.hosted import hosted
from tests.integration.providers.leftovers import assert_secret
from tests.integration.providers.month import FIRST, LAST, NOW_NS, closing, door_of, open_plans
from tests.integration.providers.subject import SUBJECTS, Subject
from tests.integration.providers.truth import Truth


@pytest.fixture(scope="package")
def market() -> Market:
    """20 symbols, drawn once: a split, a dividend and a reverse split after the month among them."""
    return Market(seed=7, symbols=20, first=FIRST, last=LAST, keep=600)


@pytest.fixture(scope="package")
def emulator(market: Market) -> Iterator[Emulator]:
    """The emulator after the last session: all that is asked for lies in the past."""
    with hosted(market, SetTime(NOW_NS), open_plans()) as running:
        yield running


@pytest.fixture(params=SUBJECTS, ids=lambda subject: subject.name)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Every way to a vendor."""
    found: Subject = request.param
    return found


@pytest.fixture
def truth(emulator: Emulator, subject: Subject) -> Truth:
    """What the subject should return."""
    return Truth(emulator.views, subject)


@pytest.fixture
async def client(emulator: Emulator, subject: Subject) -> AsyncIterator[Provider]:
    """The subject's client."""
    async with closing(subject.make(door_of(emulator, subject))) as made:
        yield made


@pytest.fixture(scope="package")
def troubled(market: Market) -> Iterator[Emulator]:
    """An emulator at noon, which every test puts into trouble anew."""
    plans = Plans()
    for vendor in VENDORS:
        plans.add(vendor, KEY.format(vendor=vendor), rates=(Rate(100_000, 60),))
    with hosted(market, SetTime(NOON_NS), plans) as running:
        yield running


@pytest.fixture
def timeouts() -> Timeouts:
    """Long ones: of a test that is not about time, none may depend on it."""
    return PATIENT


@pytest.fixture
async def case(
    troubled: Emulator, subject: Subject, timeouts: Timeouts, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Case]:
    """A case of every subject; whatever went wrong in it, the key is in nobody's words."""
    caplog.set_level("DEBUG")
    async with case_of(troubled, subject, timeouts) as made:
        yield made
    assert_secret(FRAGMENTS, made.error, caplog)
