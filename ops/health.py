"""The probes: what to answer to somebody who only wants to know whether, and to somebody who asks why."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from ops.verdict import (
    COMPONENTS,
    HEARTBEAT_LIMIT_S,
    STANDBY,
    Level,
    phase_sentence,
    verdict,
    waiting_for,
    word,
)
from streams.status import DependencyStatus, WorkerStatus

JSON = "application/json"
PROBLEM = "application/problem+json"


class Answer(NamedTuple):
    """A status code and a body to be written as JSON."""

    code: HTTPStatus
    body: dict[str, Any]
    content_type: str = JSON


def problem(code: HTTPStatus, detail: str, instance: str) -> Answer:
    """Return an error as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": code.phrase,
        "status": code.value,
        "detail": detail,
        "instance": instance,
    }
    return Answer(code, body, PROBLEM)


def livez(status: WorkerStatus) -> Answer:
    """Is the process alive? Only then is a restart no help: 503 if the event loop stands still."""
    if status.heartbeat_s > HEARTBEAT_LIMIT_S:
        detail = f"the event loop has not turned for {status.heartbeat_s:.0f} s"
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, "/livez")
    return Answer(HTTPStatus.OK, {"status": "ok", "heartbeat_s": round(status.heartbeat_s, 3)})


def readyz(status: WorkerStatus) -> Answer:
    """Does it work? 200 when it runs, database and broker answer, and the group has dealt its partitions."""
    reason = (
        phase_sentence(status)
        or ("" if status.database.up else waiting_for("database", status.database))
        or ("" if status.broker.up else waiting_for("broker", status.broker))
    )
    if reason:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, "/readyz")
    body: dict[str, Any] = {"status": "ok", "partitions": len(status.partitions)}
    if not status.partitions:
        body["detail"] = STANDBY
    return Answer(HTTPStatus.OK, body)


def health(status: WorkerStatus) -> Answer:
    """Return every component with its state: 200 for ok and degraded, 503 for fail."""
    judged = verdict(status)
    components: dict[str, dict[str, Any]] = {}
    for name in COMPONENTS:
        found = [f for f in judged.findings if f.component == name]
        level = max((f.level for f in found), default=Level.OK)
        components[name] = {"status": level.name.lower(), "detail": "; ".join(f.sentence for f in found)}
    components["event_loop"]["heartbeat_s"] = round(status.heartbeat_s, 3)
    components["database"] |= _times(status.database)
    components["broker"] |= _times(status.broker)
    components["phase"]["phase"] = status.phase
    components["partitions"]["components"] = {
        f"{p.topic}-{p.partition}": {
            "status": word(p),
            "lag": p.lag,
            "committed": p.committed,
            "stored": p.stored,
            "end": p.end,
        }
        for p in status.partitions
    }
    body = {
        "status": judged.level.name.lower(),
        "detail": judged.sentence,
        "worker": status.worker_id,
        "version": status.version,
        "components": components,
    }
    code = HTTPStatus.SERVICE_UNAVAILABLE if judged.level is Level.FAIL else HTTPStatus.OK
    return Answer(code, body)


def _times(dependency: DependencyStatus) -> dict[str, float | None]:
    return {"since_s": dependency.since_s, "last_success_s": dependency.last_success_s}
