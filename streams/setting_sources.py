"""Where settings come from: read every source, say which one each value is of, refuse what nobody knows."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from schemas.errors import ConfigInvalid
from streams.setting_fields import Settings, validate_settings

Source = Literal["environment", ".env", "tapeflow.toml", "default"]
ENV_FILE = Path(".env")
TOML_FILE = Path("tapeflow.toml")
#: Docker Compose reads the same .env; these are what docker-compose.yml asks for beyond settings
COMPOSE_NAMES = frozenset(
    {"postgres_password", "kafka_port", "database_port", "prometheus_port", "grafana_port"}
)
COMPOSE_PREFIXES = ("compose_", "docker_")
MASK = "**********"


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings that are valid as a whole, and the source of each."""

    settings: Settings
    sources: Mapping[str, Source]
    overridden: frozenset[str] = frozenset()
    """What a file sets and the environment sets as well: the environment wins."""

    def pinned(self) -> frozenset[str]:
        """Return what the environment sets: no file and no control message changes that."""
        return frozenset(name for name, source in self.sources.items() if source == "environment")


def read(toml: Path = TOML_FILE, env: Path = ENV_FILE) -> Reading:
    """Read environment and files.

    Args:
        toml: a missing one is no error.
        env: likewise.

    Raises:
        ConfigInvalid: naming every key that is wrong, and its value unless that is a secret.
    """
    layers: list[tuple[Source, Mapping[str, Any]]] = [
        ("environment", EnvSettingsSource(Settings)()),
        (".env", _dotenv(env)),
        ("tapeflow.toml", _toml(toml)),
    ]
    faults = [
        f"unknown key {key!r} in {env if source == '.env' else toml}{_meant(key)}"
        for source, layer in layers[1:]
        for key in layer
        if key not in Settings.model_fields and not (source == ".env" and _of_compose(key))
    ]
    sources: dict[str, Source] = dict.fromkeys(Settings.model_fields, "default")
    values: dict[str, Any] = {}
    for source, layer in reversed(layers):
        for name, value in layer.items():
            if name in sources:
                sources[name], values[name] = source, value
    try:
        settings = detached(values)
    except ConfigInvalid as exc:
        raise ConfigInvalid("; ".join([*faults, str(exc)])) from None
    if faults:
        raise ConfigInvalid("; ".join(faults))
    in_files = {name for _, layer in layers[1:] for name in layer}
    return Reading(settings, sources, frozenset(in_files & layers[0][1].keys()))


def detached(values: Mapping[str, Any]) -> Settings:
    """Return settings of these values and defaults alone, valid as a whole.

    Raises:
        ConfigInvalid: naming every key that is wrong, and its value unless that is a secret.
    """
    try:
        settings = _Detached(**values)
    except ValidationError as exc:
        raise ConfigInvalid("; ".join(_refusals(exc, values))) from None
    ok, reason = validate_settings(settings)
    if not ok:
        raise ConfigInvalid(reason)
    return settings


class _Detached(Settings):
    """Asks no source."""

    model_config = SettingsConfigDict(toml_file=None, env_file=None)

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
        """Only what it is given."""
        return (init_settings,)


def secret(name: str) -> bool:
    """Say whether a setting must not be shown."""
    return Settings.model_fields[name].annotation is SecretStr


def _refusals(exc: ValidationError, values: Mapping[str, Any]) -> Iterator[str]:
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        name = str(error["loc"][0]) if error["loc"] else "settings"
        given = values.get(name)
        shown = "" if given is None or secret(name) else f" (given: {str(given)[:128]!r})"
        yield f"{name.upper()}: {error['msg'].removeprefix('Value error, ')}{shown}"


def _dotenv(path: Path) -> Mapping[str, Any]:
    try:
        return DotEnvSettingsSource(Settings, env_file=path, env_file_encoding="utf-8")()
    except (OSError, UnicodeDecodeError, SettingsError) as exc:
        raise ConfigInvalid(f"{path} cannot be read: {exc}") from exc


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigInvalid(f"{path} cannot be read: {exc}") from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigInvalid(f"{path} is not TOML: {exc}") from exc


def _of_compose(key: str) -> bool:
    return key in COMPOSE_NAMES or key.startswith(COMPOSE_PREFIXES)


def _meant(key: str) -> str:
    close = difflib.get_close_matches(key.lower(), Settings.model_fields, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
