"""Settings: environment over ``.env`` over ``tapeflow.toml`` over defaults; frozen once read.

Those marked live can change while a worker runs: `streams.settings_in_force` swaps the whole object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from ipaddress import ip_address
from typing import Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from typing_extensions import override

from domain.candles import Patience
from domain.dlq_limit import DlqLimit
from schemas.base import NAME
from schemas.topics import TopicSpec
from streams.provider_fields import ProviderFields
from streams.routing_fields import Names, RoutingFields, listed, live, routing_faults

#: so much of a fetch is worth its cost; both are for the live edge, a backlog has more at once
FETCH_MIN_BYTES = 28_672
SERVERS = r"^[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*$"


class Settings(ProviderFields, RoutingFields):
    """Everything that can be set; each name is also an environment variable, in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        toml_file="tapeflow.toml",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
        allow_inf_nan=False,
    )

    database_url: SecretStr = Field(
        default=SecretStr("postgresql://postgres@127.0.0.1:5432/market"),
        description="PostgreSQL or TimescaleDB, as `postgresql://user:password@host:port/database`.",
    )
    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092", pattern=SERVERS, max_length=1_024, description="`host:port`, by commas."
    )
    kafka_group: str = Field(
        default="tapeflow", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Consumer group of the workers."
    )
    group_instance_id: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,249}$",
        description="Static membership: a stable name of this worker, as a StatefulSet gives.",
    )
    topic_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="Put before every topic name."
    )
    topic_partitions: int = Field(
        default=0, ge=0, le=512, description="Partitions of the tick topics; 0: what the catalogue says."
    )
    worker_id: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="Name of this worker; empty: host and pid."
    )

    session_timeout_s: float = Field(default=10.0, ge=1, le=300, description="A silent worker is gone.")
    rebalance_timeout_s: float = Field(
        default=60.0, ge=3, le=600, description="A rebalance takes at most this."
    )
    commit_interval_s: float = Field(
        default=0.5, gt=0, le=60, description="Seconds between two commits of the group's offsets."
    )
    database_budget_s: float = Field(
        default=35.0,  # a statement may take 20 s more, and a rebalance waits for it
        gt=0,
        le=600,
        description="Wait this long for a database that went away; then exit, unacknowledged.",
    )
    broker_budget_s: float = Field(
        default=120.0,
        gt=0,
        le=3_600,
        description="Wait this long for a broker that does not take our records.",
    )
    stuck_after_s: float = Field(
        default=90.0, gt=0, le=3_600, description="Lag, no outage, nothing stored: exit."
    )
    stop_grace_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        description="After SIGTERM store what is in flight for at most so long; then exit, unacknowledged.",
    )

    profile: Literal["efficient", "low-latency"] = Field(
        default="efficient", description="What a fetch waits for: fewer, larger chunks or the next tick."
    )
    chunk_max_records: int = Field(
        default=5_000, ge=1, le=100_000, description="Records of one event of ticks at most."
    )
    flush_records: int = live(
        50_000, ge=1, le=10_000_000, description="Store at the latest after so many records,"
    )
    flush_ms: float = live(50.0, ge=0, le=10_000, description="or so many milliseconds.")
    queue_chunks: int = Field(
        default=32, ge=1, le=10_000, description="Full chunks (CHUNK_MAX_RECORDS) between fold and sink."
    )
    snapshot_s: float = live(1.0, gt=0, le=60, description="Seconds between two snapshots of a book.")

    lateness_ms: int = Field(
        default=2_000, ge=0, le=600_000, description="A bar closes this long after its end."
    )
    horizon_s: int = Field(
        default=300, ge=0, le=86_400, description="Late trades revise a closed bar for so long."
    )
    provider_rank: Names = Field(
        default=(), description="Providers, best first: their candles win. Unnamed ones rank below, by name."
    )
    dlq_max_ratio: float = live(0.2, gt=0, le=1, description="More poison of the last 1,000: stop.")
    dlq_max_consecutive: int = live(500, ge=1, le=10_000_000, description="So much poison in a row: stop.")

    web_host: str = Field(default="127.0.0.1", description="Beyond loopback only with OPS_TOKEN.")
    web_port: int = Field(default=8000, ge=1, le=65_535, description="Of pages, probes and metrics.")
    ops_token: SecretStr = Field(default=SecretStr(""), description="Bearer token of pages and operations.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = live(
        "INFO", description="Least level that is written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: for people on a terminal, JSON elsewhere."
    )

    @field_validator("provider_rank", mode="before")
    @classmethod
    def _ranked(cls, value: object) -> object:
        return listed(value)

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence, first wins."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            TomlConfigSettingsSource(settings_cls),
        )

    def secrets(self) -> list[str]:
        """Return every secret that is set, so that it can be masked wherever it might show."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [v.get_secret_value() for v in values if isinstance(v, SecretStr) and v.get_secret_value()]

    @cached_property
    def patience(self) -> Patience:
        """Lateness and horizon, for the fold."""
        return Patience(self.lateness_ms * 1_000_000, self.horizon_s * 1_000_000_000)

    @cached_property
    def dlq_limit(self) -> DlqLimit:
        """How much poison is too much."""
        return DlqLimit(max_ratio=self.dlq_max_ratio, max_consecutive=self.dlq_max_consecutive)

    @property
    def fetch_max_wait_ms(self) -> int:
        """How long a fetch waits for `FETCH_MIN_BYTES` (ADR 0017)."""
        return 4 if self.profile == "low-latency" else 50

    def topic(self, spec: TopicSpec) -> str:
        """Return the physical name of a topic."""
        return self.topic_prefix + spec.name

    def partitions(self, spec: TopicSpec) -> int:
        """Return how many partitions a topic has here."""
        return spec.partitions_here(self.topic_partitions)


def validate_settings(settings: Settings) -> tuple[bool, str]:
    """Say whether settings make sense as a whole, and if not, each thing that is wrong.

    Returns:
        (True, "") or (False, reasons): each names the key, and its value unless that is a secret.
    """
    reasons = "; ".join(_faults(settings))
    return not reasons, reasons


def _faults(s: Settings) -> Iterator[str]:
    yield from routing_faults(s)
    for name in s.provider_rank:
        if not re.fullmatch(NAME, name):
            yield f"PROVIDER_RANK: {name!r} is no name of a provider"
    if s.database_budget_s >= s.rebalance_timeout_s:
        yield (
            f"DATABASE_BUDGET_S must be below REBALANCE_TIMEOUT_S ({s.database_budget_s:g} is not below "
            f"{s.rebalance_timeout_s:g}): a worker that waits for the database holds up the whole group's "
            "rebalance"
        )
    try:
        conninfo_to_dict(s.database_url.get_secret_value())
    except ProgrammingError:  # its message can contain the password
        yield "DATABASE_URL: not a connection string of PostgreSQL"
    if not _is_loopback(s.web_host) and not s.ops_token.get_secret_value():
        yield f"WEB_HOST beyond loopback ({s.web_host}) needs OPS_TOKEN"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
