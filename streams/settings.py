"""Settings: environment over ``.env`` over ``tapeflow.toml`` over defaults; frozen once read."""

from __future__ import annotations

from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from typing_extensions import override

from domain.candles import Patience
from domain.dlq_limit import DlqLimit
from schemas.errors import ConfigInvalid
from schemas.topics import TopicSpec


class Settings(BaseSettings):
    """Everything that can be set; each name is also an environment variable, in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        toml_file="tapeflow.toml",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    database_url: SecretStr = Field(
        default=SecretStr("postgresql://postgres@127.0.0.1:5432/market"),
        description="PostgreSQL or TimescaleDB, as `postgresql://user:password@host:port/database`.",
    )
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:9092", description="`host:port`, by commas.")
    kafka_group: str = Field(
        default="tapeflow", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Consumer group of the workers."
    )
    group_instance_id: str = Field(
        default="", description="Static membership: a stable name of this worker, as a StatefulSet gives."
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
        description="Wait this long for a database that went away; then exit, unacknowledged.",
    )
    broker_budget_s: float = Field(
        default=120.0, gt=0, description="Wait this long for a broker that does not take our records."
    )
    stuck_after_s: float = Field(default=90.0, gt=0, description="Lag, no outage, nothing stored: exit.")
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
        default=5_000, ge=1, le=100_000, description="Records of one slice at most."
    )
    flush_records: int = Field(default=50_000, ge=1, description="Store at the latest after so many records,")
    flush_ms: float = Field(default=50.0, ge=0, le=10_000, description="or so many milliseconds.")
    queue_chunks: int = Field(default=32, ge=1, le=10_000, description="Chunks between fold and sink.")
    snapshot_s: float = Field(
        default=1.0, gt=0, le=60, description="Seconds between two snapshots of a book."
    )

    lateness_ms: int = Field(
        default=2_000, ge=0, le=600_000, description="A bar closes this long after its end."
    )
    horizon_s: int = Field(
        default=300, ge=0, le=86_400, description="Late trades revise a closed bar for so long."
    )
    provider_rank: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Providers, best first: their candles win. Unnamed ones rank below, by name."
    )
    dlq_max_ratio: float = Field(default=0.2, gt=0, le=1, description="More poison of the last 1,000: stop.")
    dlq_max_consecutive: int = Field(default=500, ge=1, description="So much poison in a row: stop.")

    web_host: str = Field(default="127.0.0.1", description="Beyond loopback only with OPS_TOKEN.")
    web_port: int = Field(default=8000, ge=1, le=65_535, description="Of pages, probes and metrics.")
    ops_token: SecretStr = Field(default=SecretStr(""), description="Bearer token of pages and operations.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: for people on a terminal, JSON elsewhere."
    )

    @field_validator("provider_rank", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return tuple(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.database_budget_s >= self.rebalance_timeout_s:
            raise ValueError(
                "DATABASE_BUDGET_S must be below REBALANCE_TIMEOUT_S: a worker that waits for the "
                "database holds up the whole group's rebalance"
            )
        if not _is_loopback(self.web_host) and not self.ops_token.get_secret_value():
            raise ValueError("WEB_HOST beyond loopback needs OPS_TOKEN")
        return self

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
        """How long a fetch waits for ``fetch_min_bytes`` (docs/architecture.md, profiles)."""
        return 10 if self.profile == "low-latency" else 25

    def topic(self, spec: TopicSpec) -> str:
        """Return the physical name of a topic."""
        return self.topic_prefix + spec.name

    def partitions(self, spec: TopicSpec) -> int:
        """Return how many partitions a topic has here."""
        return self.topic_partitions or spec.partitions


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigInvalid: naming every field that is wrong and never its value.
    """
    try:
        return Settings()
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])).upper() or 'settings'}: {e['msg']}"
            for e in exc.errors(include_input=False)
        )
        raise ConfigInvalid(f"invalid configuration: {problems}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
