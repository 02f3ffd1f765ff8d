"""Control messages: what every worker of the fleet is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from schemas.base import Nanos, OutputModel

DIGEST = r"^[0-9a-f]{64}$"


class ControlMessage(OutputModel):
    """Settings that were accepted as a whole. Its version is its position on the topic, from 1.

    The last one in the order of the topic is in force, on every worker: there is no other order that
    all of them see alike.
    """

    kind: Literal["settings"] = "settings"
    digest: str = Field(pattern=DIGEST, description="SHA-256 of the canonical document.")
    document: dict[str, JsonValue] = Field(
        description="Every setting that can change while a worker runs, by its name in small letters, except "
        "those that the environment of the sender pins. No secret is among them."
    )
    changed: tuple[str, ...] = Field(description="Names of the settings that differ from the version before.")
    actor: str = Field(max_length=128, description="Who asked for it.")
    note: str = Field(default="", max_length=512, description="Why, in the words of who asked.")
    ts_sent: Nanos


def policy_version(number: int, digest: str) -> str:
    """Return how a version is written: its number on the topic and the start of its digest."""
    return f"{number}-{digest[:12]}"
