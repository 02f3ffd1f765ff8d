"""What polygon means by an answer that is not data: its words first, then the status."""

from __future__ import annotations

import msgspec

from providers.answers import Answer, failure, kind_of, retry_after
from schemas.errors import AuthFailed, EntitlementMissing, NotFound, ProviderError, RateLimited

PROVIDER = "polygon"
#: no header says how long: the budget is one of a minute
WINDOW_S = 60.0

_SAYINGS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("unknown api key", AuthFailed),
    ("api key was not provided", AuthFailed),
    ("exceeded the maximum requests", RateLimited),
    ("not_authorized", EntitlementMissing),
    ("not entitled", EntitlementMissing),
    ("plan doesn't include", EntitlementMissing),
    ("not_found", NotFound),
    ("ticker not found", NotFound),
)


class _Said(msgspec.Struct):
    status: str = ""
    error: str = ""
    message: str = ""
    request_id: str = ""


def refusal(answer: Answer, now_ns: int) -> ProviderError:
    """Return the error that an answer without data stands for; such answers come with status 200 too."""
    try:
        said = msgspec.json.decode(answer.body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = answer.body[:200].decode(errors="replace").strip()
        said = _Said(message="HTML" if text.startswith("<") else text)
    words = f"{said.status} {said.error} {said.message}".lower()
    kind = next((kind for saying, kind in _SAYINGS if saying in words), None) or kind_of(answer.status)
    wait = retry_after(answer.headers, now_ns)
    return failure(
        kind,
        answer,
        said.error or said.message or said.status,
        provider=PROVIDER,
        code=said.status,
        request_id=said.request_id or answer.headers.get("X-Request-Id", ""),
        retry_after_s=WINDOW_S if wait is None else wait,
    )
