"""What alpaca means by an answer that is not data: its words first, then the status."""

from __future__ import annotations

import msgspec

from providers.answers import Answer, failure, kind_of, reset_after, retry_after
from schemas.errors import AuthFailed, EntitlementMissing, ProviderError, RateLimited

#: if no header says how long: the budget is one of a minute
WINDOW_S = 60.0

_SAYINGS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("subscription does not permit", EntitlementMissing),
    ("too many requests", RateLimited),
    ("unauthorized", AuthFailed),
    # 403 "forbidden." is a wrong key; a plan that is too small says so in words
    ("forbidden", AuthFailed),
)


class _Said(msgspec.Struct):
    message: str = ""
    code: int | None = None


def refusal(answer: Answer, now_ns: int, provider: str) -> ProviderError:
    """Return the error that an answer without data stands for."""
    try:
        said = msgspec.json.decode(answer.body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = answer.body[:200].decode(errors="replace").strip()
        said = _Said("HTML" if text.startswith("<") else text)
    words = said.message.lower()
    kind = next((kind for saying, kind in _SAYINGS if saying in words), None) or kind_of(answer.status)
    wait = retry_after(answer.headers, now_ns)
    if wait is None:
        wait = reset_after(answer.headers, now_ns)
    return failure(
        kind,
        answer,
        said.message,
        provider=provider,
        code="" if said.code is None else str(said.code),
        request_id=answer.headers.get("X-Request-Id", ""),
        retry_after_s=WINDOW_S if wait is None else wait,
    )
