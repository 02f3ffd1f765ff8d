"""The place where a client waits until its key may be used again."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override


class Gate(Protocol):
    """One budget of requests. Passed before every request, the repeated ones too."""

    async def pass_(self, n: int = 1) -> None:
        """Return once ``n`` requests may be sent.

        Raises:
            RateLimited: if it is not worth waiting.
        """

    def block_until(self, monotonic: float) -> None:
        """Let nobody pass before this moment of ``Clock.monotonic``; a later moment stays."""


class OpenGate(Gate):
    """No budget at all."""

    @override
    async def pass_(self, n: int = 1) -> None:
        return None

    @override
    def block_until(self, monotonic: float) -> None:
        return None
