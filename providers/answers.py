"""What a provider said, and what its status and its headers mean if its words say nothing better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, Final, Literal

from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    NotFound,
    ProviderAway,
    ProviderError,
    RateLimited,
)

Scope = Literal["second", "minute", "hour", "day", "month"]
#: a header that names a longer wait is taken for this one
MAX_WAIT_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: any status, the whole body, decompressed."""

    status: int
    headers: Mapping[str, str]
    """Looked up in any case."""
    body: bytes = field(repr=False)
    requests: int = 1
    """Two if it took a repetition."""


_BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthFailed,
    402: EntitlementMissing,
    403: EntitlementMissing,
    404: NotFound,
    408: ProviderAway,
    429: RateLimited,
}


def kind_of(status: int) -> type[ProviderError]:
    """Return the error that a status names when the body says nothing; 3xx and 5xx are `ProviderAway`."""
    return _BY_STATUS.get(status, BadRequest if 400 <= status < 500 else ProviderAway)


def failure(
    kind: type[ProviderError],
    answer: Answer,
    message: str,
    *,
    provider: str,
    code: str = "",
    request_id: str = "",
    retry_after_s: float = 60.0,
    scope: Scope = "minute",
) -> ProviderError:
    """Return an error with what the answer said; the last two arguments are of `RateLimited` alone."""
    wait: dict[str, Any] = {"retry_after_s": retry_after_s, "scope": scope} if kind is RateLimited else {}
    return kind(
        message or "no text",
        provider=provider,
        status=answer.status,
        code=code,
        request_id=request_id,
        raw=answer.body,
        **wait,
    )


def retry_after(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Return the seconds that ``Retry-After`` names, as a number or as a date; None if it names none."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    seconds = _number(text)
    if seconds is None:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        # RFC 9110: a date without a zone is UTC
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = at.timestamp() - now_ns / 1e9
    return min(max(seconds, 0.0), MAX_WAIT_S)


def reset_after(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Return the seconds until ``X-RateLimit-Reset``, a moment in seconds since the epoch."""
    at = _number(headers.get("X-RateLimit-Reset", ""))
    return None if at is None else min(max(at - now_ns / 1e9, 0.0), MAX_WAIT_S)


def remaining(headers: Mapping[str, str]) -> float | None:
    """Return ``X-RateLimit-Remaining``, the requests left in the window."""
    return _number(headers.get("X-RateLimit-Remaining", ""))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
