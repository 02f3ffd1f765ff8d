"""What a contract says of a value that it refuses: pydantic's errors as poison that names the field."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import Poison, Reason

#: in characters; a detail is a header, a log line and a cell of a page
MAX_DETAIL = 512
MAX_NAME = 64


def poison_of(exc: ValidationError, *, tag: str | None = None) -> Poison:
    """Return the first thing that is wrong, by the dotted path of its field, and how many more there are.

    Args:
        exc: of a model; or of a union of models, told apart by a field.
        tag: that field of the union. Errors then begin with its value, which is no part of the path.
    """
    errors = exc.errors(include_url=False, include_input=False)
    first = errors[0]
    path, said = _where(first, tag), first["msg"]
    if tag and first["type"] == "union_tag_not_found":
        said = "Field required"
    elif tag and first["type"] == "union_tag_invalid":  # the message has the value in it, of any length
        said = f"Input should be one of {first['ctx']['expected_tags']}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    reason = Reason.DESERIALIZE if first["type"] == "json_invalid" else Reason.SCHEMA
    return Poison(reason, f"{path}: {said}"[: MAX_DETAIL - len(more)] + more)


def _where(error: ErrorDetails, tag: str | None) -> str:
    path = error["loc"]
    if tag:
        if error["type"].startswith("union_tag_"):
            return tag
        path = path[1:]
    return ".".join(map(_name, path)) or "value"


def _name(part: int | str) -> str:
    """Return the name of a field; one that is not ours may be anything, and a terminal would obey it."""
    name = str(part)[:MAX_NAME]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name) or '""'
