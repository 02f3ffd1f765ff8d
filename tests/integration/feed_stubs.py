"""A broker and a lock that a test commands, for feeds that run in its own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.output import Message, Target


@dataclass(slots=True)
class StubBroker:
    """Takes what it is given, unless it is held up or away."""

    records: list[tuple[Target, dict[str, Any]]] = field(default_factory=list)
    deliveries: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.held.set()

    async def deliver(self, messages: Mapping[Target, Iterable[Message]]) -> None:
        await self.held.wait()
        if self.failure:
            raise self.failure
        self.deliveries += 1
        for target, found in messages.items():
            self.records += [(target, json.loads(value or b"")) for _, value, _ in found]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [value for _, value in self.records if value.get("type", "tick") == kind]


@dataclass(slots=True)
class StubLock:
    """A lock whose holder a test names."""

    ours: bool = True
    trusted: bool = True
    resigned: int = 0
    proofs: int = 0

    async def stand(self) -> bool:
        return self.ours

    async def prove(self) -> bool:
        self.proofs += 1
        return self.ours

    def leads(self) -> bool:
        return self.ours and self.trusted

    async def resign(self) -> None:
        self.resigned += 1
