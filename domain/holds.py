"""What one worker does by itself between its own failures and the provider table's verdict."""

from __future__ import annotations

from schemas.provider import ProviderName


class Holds:
    """Leaves a provider alone for a moment after a row of failures here. Times are monotonic seconds.

    The table is a second behind at most. Until it speaks, a worker with many jobs in flight would send all
    of them to a provider that it knows to be sick.
    """

    def __init__(self, hold_s: float = 2.0) -> None:
        """Hold nobody yet.

        Args:
            hold_s: by then the table says what to do, or the provider is tried again.
        """
        self._hold_s = hold_s
        self._rows: dict[ProviderName, int] = {}
        self._until: dict[ProviderName, float] = {}

    def note(self, provider: ProviderName, *, failed: bool, now: float, trip: int) -> None:
        """Count an answer.

        Args:
            provider: whose.
            failed: whether it speaks against the provider.
            now: the time.
            trip: so many failures in a row hold it, and every further one until something went well.
        """
        if not failed:
            self._rows[provider] = 0
            return
        row = self._rows[provider] = self._rows.get(provider, 0) + 1
        if row >= trip:
            self._until[provider] = max(now + self._hold_s, self.until(provider))

    def until(self, provider: ProviderName) -> float:
        """Return until when it is left alone; a time in the past, or 0, if it is not."""
        return self._until.get(provider, 0.0)
