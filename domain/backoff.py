"""How long to wait before the next attempt: longer each time, until data has come for a while."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Grows with every failure. Neither a connection nor a login is a success: data over some time is.

    A vendor that accepts the login and then closes, as for one connection too many, is thus left alone
    for longer and longer.
    """

    def __init__(
        self,
        *,
        first_s: float = 0.5,
        most_s: float = 60.0,
        proof_s: float = 20.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Start afresh.

        Args:
            first_s: longest wait after the first failure; it doubles with each further one.
            most_s: longest wait ever.
            proof_s: seconds between the first and the last data of a connection that make it a success.
            jitter: in [0, 1); a wait is between half and all of what it could be.
        """
        self._first_s = first_s
        self._most_s = most_s
        self._proof_s = proof_s
        self._jitter = jitter
        self._failures = 0
        self._since: float | None = None

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def received(self, now: float) -> None:
        """Note that data came, at monotonic seconds."""
        if self._since is None:
            self._since = now
        elif now - self._since >= self._proof_s:
            self._failures = 0

    def failed(self, at_least_s: float = 0.0) -> float:
        """Return how long to wait after a failure.

        Args:
            at_least_s: what the vendor asked for.
        """
        self._since = None
        # beyond 2^32 the bound has long been reached
        longest = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(at_least_s, longest * (0.5 + self._jitter() / 2))
