"""Bytes of ``md.jobs.v1`` to jobs; what is none gets a reason."""

from __future__ import annotations

from pydantic import ValidationError

from schemas.errors import Poison, Reason
from schemas.jobs import JOB, Job
from schemas.verdict import poison_of

#: 1,000 symbols of 32 characters are 36 kB, and 50 kB in lines of their own
MAX_JOB_BYTES = 65_536


def examine_job(value: bytes | None) -> Job | Poison:
    """Return the job, or why it is none: which field, what is wrong with it, how much more is."""
    if not value:
        return Poison(Reason.EMPTY, "value: a tombstone" if value is None else "value: no bytes")
    if len(value) > MAX_JOB_BYTES:
        return Poison(Reason.TOO_LARGE, f"value: {len(value)} bytes, at most {MAX_JOB_BYTES}")
    try:
        return JOB.validate_json(value)
    except ValidationError as exc:
        return poison_of(exc, tag="job_type")
