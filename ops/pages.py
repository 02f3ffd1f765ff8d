"""The pages of the running worker; importing this module registers them with the app."""

from __future__ import annotations

from domain.clock import SystemClock
from ops.access import Access
from ops.operations import Operations, Settings
from ops.quotes import QuotePage
from ops.site import Site
from schemas.quote import L1Quote
from sinks import latest_quote
from streams.app import app
from streams.status import WorkerStatus


def _status() -> WorkerStatus:
    return app.services.status()


def _access() -> Access:
    # command line and environment can bind Faust elsewhere than our settings say: both must be loopback
    return Access([app.settings.web_host, app.conf.web_bind], app.settings.ops_token.get_secret_value())


def _settings() -> Settings:
    return app.services.control


def _latest(symbol: str) -> L1Quote | None:
    return app.services.latest.get(symbol)


async def _stored(symbol: str) -> L1Quote | None:
    return await app.services.pages_database.attempt(latest_quote.read, symbol)


Site(
    status=_status,
    access=_access,
    operations=Operations(_settings),
    quotes=QuotePage(_latest, _stored),
    clock=SystemClock(),
).mount(app)
