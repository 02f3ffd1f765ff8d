"""What finnhub means by an answer that is not data: its words first, then the status."""

from __future__ import annotations

import msgspec

from providers.answers import Answer, failure, kind_of, reset_after, retry_after
from schemas.errors import AuthFailed, EntitlementMissing, Malformed, ProviderError, RateLimited

PROVIDER = "finnhub"
#: headers are not documented: the budget is one of a minute
WINDOW_S = 60.0

#: without a key the text is that of a spent budget, and an invitation: that stands first here
_SAYINGS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("sign up for a free account", AuthFailed),
    ("invalid api key", AuthFailed),
    ("use an api key", AuthFailed),
    ("don't have access", EntitlementMissing),
    ("api limit reached", RateLimited),
)


class _Said(msgspec.Struct):
    error: str = ""


def refusal(answer: Answer, now_ns: int) -> ProviderError:
    """Return the error that an answer without data stands for."""
    try:
        text = msgspec.json.decode(answer.body, type=_Said).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = answer.body[:200].decode(errors="replace").strip()
        text = "HTML" if text.startswith("<") else text
    words = text.lower()
    kind = next((kind for saying, kind in _SAYINGS if saying in words), None)
    if kind is None:
        kind = Malformed if answer.status == 200 else kind_of(answer.status)
    wait = retry_after(answer.headers, now_ns)
    if wait is None:
        wait = reset_after(answer.headers, now_ns)
    return failure(kind, answer, text, provider=PROVIDER, retry_after_s=WINDOW_S if wait is None else wait)
