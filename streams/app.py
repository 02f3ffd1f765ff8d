"""The Faust app. It names its agents and pages; they import it, never the other way."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, cast

from faust.app.base import BootStrategy
from faust.types import TP
from mode.types import ServiceT
from typing_extensions import override

from streams.chunked_app import ChunkedApp
from streams.services import Services
from streams.settings import InForce, settings_in_force
from streams.tenure import Tenure
from telemetry import logs

#: one by one: a package name would log and skip a module that fails to import
MODULES = ["agents.trades", "agents.quotes", "agents.jobs", "agents.health", "ops.pages"]


class Boot(BootStrategy):
    """Web first, so that the page can say what is waited for; our services before the consumer."""

    @override
    def server(self) -> Iterable[ServiceT]:
        app = cast(MarketApp, self.app)
        return chain(
            self.sensors(),
            self.kafka_producer(),
            self.web_server(),
            app.services.in_order(),
            self.kafka_consumer(),
            self.agents(),
            self.kafka_conductor(),
            self.tables(),
        )


class MarketApp(ChunkedApp):
    """The worker's app, with its services."""

    BootStrategy = Boot

    def __init__(self, in_force: InForce) -> None:
        """Build from the settings; connect to nothing."""
        settings = in_force.settings
        self.worker_id = settings.worker_id or f"{socket.gethostname()}-{os.getpid()}"
        session = settings.session_timeout_s
        super().__init__(
            settings.kafka_group,
            in_force=in_force,
            broker=[f"chunked://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
            broker_client_id=f"tapeflow-{self.worker_id}",
            consumer_group_instance_id=settings.group_instance_id or None,
            autodiscover=MODULES,
            origin="streams",
            value_serializer="raw",
            key_serializer="raw",
            # topics are declared by `tapeflow topics apply`, never by a worker
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            broker_session_timeout=session,
            broker_heartbeat_interval=min(1.0, session / 3),
            broker_rebalance_timeout=settings.rebalance_timeout_s,
            broker_request_timeout=max(60.0, session),
            broker_max_poll_interval=300.0,
            broker_commit_interval=settings.commit_interval_s,
            broker_commit_every=cast(Any, None),
            # of a partition; twice as much is no faster and costs 150 MB of records that wait as objects
            consumer_max_fetch_size=1 << 19,
            cython_optimizations=True,
            web_host=settings.web_host,
            web_bind=settings.web_host,
            web_port=settings.web_port,
            web_in_thread=False,
            web_tables_enabled=False,
            web_router_enabled=False,
            worker_redirect_stdouts=False,
            logging_config=logs.configure(
                settings.log_level,
                settings.log_format,
                self.worker_id,
                settings.secrets(),
                terminal=sys.stderr.isatty(),
            ),
        )
        self._services: Services | None = None
        self.first_crash: BaseException | None = None
        """Why the worker ends. What ends with it, an agent that is cancelled say, replaces `crash_reason`."""

    @property
    def services(self) -> Services:
        """What the worker is made of; built at the first use, when the event loop is there."""
        if self._services is None:
            self._services = Services(self)
        return self._services

    @override
    async def positions(
        self, bounds: Mapping[TP, tuple[int, int]], former: Mapping[TP, Tenure]
    ) -> dict[TP, Tenure]:
        loads = []
        for lane in self.services.lanes:
            topic = self.settings.topic(lane.source)
            mine = {tp: its for tp, its in bounds.items() if tp.topic == topic}
            if mine:
                loads.append(lane.positions.load(mine, former, self.chunk_topics))
        # at once, each by its own connection: the time that all may take is the same
        loaded: dict[TP, Tenure] = {}
        for tenures in await asyncio.gather(*loads):
            loaded |= tenures
        return loaded

    @override
    def _crash(self, reason: BaseException) -> None:
        self.first_crash = self.first_crash or reason
        super()._crash(reason)

    @override
    def _create_directories(self) -> None:
        """Faust would keep tables there, and we have none."""

    @override
    async def on_start(self) -> None:
        await super().on_start()
        _tune_collector()
        self.services.watchdog.start()

    @override
    async def on_shutdown(self) -> None:
        await self.services.close()
        self.services.watchdog.stop()
        await super().on_shutdown()


def _tune_collector() -> None:
    """Keep the collector off what lives for ever: at its defaults it takes half the speed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


app = MarketApp(settings_in_force())
