"""The pages of the running worker; importing this module registers them with the app."""

from __future__ import annotations

from domain.clock import SystemClock
from ops.access import Access
from ops.operations import Operations, Settings
from ops.site import Site
from streams.app import app
from streams.status import WorkerStatus


def _status() -> WorkerStatus:
    return app.services.status()


def _access() -> Access:
    # command line and environment can bind Faust elsewhere than our settings say: both must be loopback
    return Access([app.settings.web_host, app.conf.web_bind], app.settings.ops_token.get_secret_value())


def _settings() -> Settings:
    return app.services.control


Site(status=_status, access=_access, operations=Operations(_settings), clock=SystemClock()).mount(app)
