"""``/ops/…``: what an operator changes while workers run. Who may ask is `ops.access`'s business."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from ops.health import Answer, problem
from schemas.errors import ConfigInvalid, Fatal, Transient
from streams.control import Proposal

MAX_BODY = 16_384
#: field of a request's body -> how long it may be
WORDS = {"actor": 128, "note": 512}


class Settings(Protocol):
    """The fleet's settings, as `streams.control` keeps them."""

    @property
    def version(self) -> str:
        """The version in force."""

    def propose(self) -> Proposal:
        """Read the files and compare."""

    def refused(self) -> None:
        """Count a reload that was refused as invalid."""

    async def publish(self, proposal: Proposal, *, actor: str, note: str = "") -> str:
        """Publish, and return the version when it is in force here."""


class Operations:
    """The handlers, without HTTP's own matters."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        """Take where the settings are kept; asked at each request."""
        self._settings = settings

    def validate(self) -> Answer:
        """Say what a reload would do, and do nothing. 200 also if the answer is no."""
        settings = self._settings()
        try:
            proposal = settings.propose()
        except ConfigInvalid as exc:
            return Answer(HTTPStatus.OK, _outcome(settings, error=str(exc)))
        return Answer(HTTPStatus.OK, _outcome(settings, proposal))

    async def reload(self, request: web.Request) -> Answer:
        """Read the files again, and put what they say in force on every worker, or change nothing.

        200 with the version in force; 400 with the reason; 503 if the broker does not take it.
        """
        settings = self._settings()
        try:
            words = await _words(request)
        except ValueError as exc:
            return problem(HTTPStatus.BAD_REQUEST, str(exc), request.path)
        actor = words.get("actor") or f"somebody at {request.remote}"
        try:
            proposal = settings.propose()
            version = await settings.publish(proposal, actor=actor, note=words.get("note", ""))
        except ConfigInvalid as exc:
            settings.refused()
            return Answer(HTTPStatus.BAD_REQUEST, _outcome(settings, error=str(exc)))
        except (Transient, Fatal) as exc:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, _outcome(settings, error=str(exc)))
        return Answer(HTTPStatus.OK, {**_outcome(settings, proposal), "policy_version": version})


def _outcome(
    settings: Settings, proposal: Proposal | None = None, *, error: str | None = None
) -> dict[str, Any]:
    found = {
        "changed": list(proposal.changed) if proposal else [],
        "pinned": list(proposal.pinned) if proposal else [],
        "requires_restart": list(proposal.requires_restart) if proposal else [],
    }
    return {"ok": error is None, "policy_version": settings.version, "error": error, **found}


async def _words(request: web.Request) -> dict[str, str]:
    """Return actor and note of the body; an empty body is none.

    Raises:
        ValueError: it is anything else.
    """
    body = await request.content.read(MAX_BODY + 1)
    if not body:
        return {}
    if len(body) > MAX_BODY:
        raise ValueError(f"the body is longer than {MAX_BODY} bytes")
    if request.content_type != "application/json":
        raise ValueError("send the body as application/json")
    words = json.loads(body)
    if not isinstance(words, dict) or not words.keys() <= WORDS.keys():
        raise ValueError(f"the body is an object of {', '.join(WORDS)}, each optional")
    for name, value in words.items():
        if not isinstance(value, str) or len(value) > WORDS[name] or not value.isprintable():
            raise ValueError(f"{name}: a line of at most {WORDS[name]} characters")
    return words
