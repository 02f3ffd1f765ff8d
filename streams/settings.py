"""The settings in force: read once, asked for by everybody, swapped as a whole when some are reloaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, TypedDict, cast

from pydantic import JsonValue

from schemas.control import policy_version
from schemas.errors import ConfigInvalid
from streams.setting_fields import Settings, validate_settings
from streams.setting_sources import Reading, detached, read

__all__ = [
    "InForce",
    "Reloaded",
    "Settings",
    "get_settings",
    "hot_reload",
    "read_settings",
    "settings_in_force",
    "validate_settings",
]

#: what a control message can change
LIVE = tuple(
    name
    for name, field in Settings.model_fields.items()
    if cast(Mapping[str, Any], field.json_schema_extra or {}).get("live")
)
Document = Mapping[str, JsonValue]


class Reloaded(TypedDict):
    """What became of a reload."""

    ok: bool
    policy_version: str
    """The version in force now, whether or not it changed."""
    error: str | None


class InForce:
    """One process's settings. A handler reads `settings` once: one object, never half new."""

    def __init__(self, reading: Reading) -> None:
        """Begin with what was read: version 0, the process's own."""
        self.settings = reading.settings
        self.sources = reading.sources
        self.pinned = reading.pinned()
        self.number = 0
        self.document: Document = document(reading.settings, self.pinned)

    @property
    def version(self) -> str:
        """The version in force."""
        return policy_version(self.number, digest(self.document))

    def adopt(self, accepted: Document, number: int) -> None:
        """Swap to an accepted document; what the environment of this process pins stays.

        Args:
            accepted: live settings by name; unknown ones, of a newer release, are ignored.
            number: its version.

        Raises:
            ConfigInvalid: with what is pinned here it makes no sense; nothing has changed.
        """
        own = {name: getattr(self.settings, name) for name in Settings.model_fields}
        new = {name: accepted[name] for name in LIVE if name in accepted and name not in self.pinned}
        settings = detached(own | new)
        self.settings, self.number, self.document = settings, number, dict(accepted)

    def hot_reload(self) -> Reloaded:
        """Read the files again and adopt what can change in a running process; this process's alone.

        `streams.control` does it for all workers.
        """
        try:
            self.adopt(candidate(read()), self.number)
        except ConfigInvalid as exc:
            return {"ok": False, "policy_version": self.version, "error": str(exc)}
        return {"ok": True, "policy_version": self.version, "error": None}


class _Process:
    """What this process has read."""

    @cached_property
    def in_force(self) -> InForce:
        """Read at the first use, so that an import reads nothing."""
        return InForce(read())


_PROCESS = _Process()


def settings_in_force() -> InForce:
    """Return the holder of this process's settings.

    Raises:
        ConfigInvalid: at the first use.
    """
    return _PROCESS.in_force


def get_settings() -> Settings:
    """Return the settings in force in this process.

    Raises:
        ConfigInvalid: at the first use.
    """
    return settings_in_force().settings


def hot_reload() -> Reloaded:
    """Read the files again and swap the settings in force in this process, or change nothing.

    Raises:
        ConfigInvalid: if the settings were never valid.
    """
    return settings_in_force().hot_reload()


def read_settings() -> Settings:
    """Read the settings anew; those in force stay.

    Raises:
        ConfigInvalid: naming every key that is wrong, and its value unless that is a secret.
    """
    return read().settings


def document(settings: Settings, pinned: Collection[str]) -> Document:
    """Return the live settings as JSON, without those that are pinned. There is no secret among them."""
    return settings.model_dump(mode="json", include=set(LIVE) - set(pinned))


def candidate(reading: Reading) -> Document:
    """Return the document that a reading proposes."""
    return document(reading.settings, reading.pinned())


def digest(of: Document) -> str:
    """Return the SHA-256 of the canonical document, in hex."""
    return hashlib.sha256(json.dumps(of, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
