"""What Tiingo means by an answer that is not data: its words first, then the status."""

from __future__ import annotations

from datetime import date

import msgspec

from providers.answers import Answer, Scope, failure, kind_of, retry_after
from providers.sessions import SECOND_NS, date_of, day_of, midnight_ns, session_of
from schemas.errors import AuthFailed, EntitlementMissing, Malformed, NotFound, ProviderError, RateLimited

PROVIDER = "iex"
HOUR_NS = 3_600 * SECOND_NS

_SAYINGS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("run over your", RateLimited),
    ("supply a token", AuthFailed),
    ("invalid token", AuthFailed),
    ("subscription tier", EntitlementMissing),
    ("not authorized for", EntitlementMissing),
    ("not found", NotFound),
)
_SPANS: tuple[tuple[str, Scope], ...] = (("hour", "hour"), ("daily", "day"), ("month", "month"))


class _Said(msgspec.Struct):
    detail: str = ""


def refusal(answer: Answer, now_ns: int) -> ProviderError:
    """Return the error that an answer without data stands for; a spent quota comes with status 200 too."""
    try:
        text = msgspec.json.decode(answer.body, type=_Said).detail
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = answer.body[:200].decode(errors="replace").strip()
        text = "HTML" if text.startswith("<") else text
    words = text.lower()
    kind = next((kind for saying, kind in _SAYINGS if saying in words), None)
    if kind is None:
        kind = Malformed if answer.status == 200 else kind_of(answer.status)
    scope: Scope = next((scope for span, scope in _SPANS if span in words), "hour")
    wait = retry_after(answer.headers, now_ns)
    return failure(
        kind,
        answer,
        text,
        provider=PROVIDER,
        retry_after_s=until_reset(scope, now_ns) if wait is None else wait,
        scope=scope,
    )


def until_reset(scope: Scope, now_ns: int) -> float:
    """Return the seconds until a quota starts anew: on the hour, with the day or the month in New York."""
    today = session_of(now_ns)
    if scope == "day":
        reset_ns = midnight_ns(today + 1)
    elif scope == "month":
        day = date_of(today)
        reset_ns = midnight_ns(day_of(date(day.year + day.month // 12, day.month % 12 + 1, 1)))
    else:
        reset_ns = now_ns - now_ns % HOUR_NS + HOUR_NS
    return (reset_ns - now_ns) / SECOND_NS
