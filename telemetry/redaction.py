"""What must not be read in a log line: secrets, by the name of their field and by their value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "**********"
MAX_CHARS = 8_192
#: shorter values would blacken ordinary words
MIN_SECRET = 4

_NAMES = (
    r"pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access)[_-]?key|authorization|credentials?|cookie|dsn"
)
_SECRET_KEY = re.compile(rf"(?:^|[_.\-])(?:{_NAMES})(?:$|[_.\-])|database_url", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<name>(?:\b|_)(?:{_NAMES})['\"]?\s*[=:]\s*)(?P<quote>['\"]?)(?:(?:bearer|basic)\s+)?[^\s'\",;&)]+",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?P<head>\w://[^\s:/@]*:)[^\s@]+(?=@)")


class Redaction:
    """Masks everything it is told of, in any value of a log line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets: plain values, or URLs of which the password is one."""
        known: set[str] = set()
        for secret in secrets:
            known.add(secret)
            password = _password(secret)
            if password:
                known |= {password, unquote(password), quote(unquote(password), safe="")}
            elif "://" in secret:
                known.discard(secret)  # nothing in it is secret
        longest_first = sorted((s for s in known if len(s) >= MIN_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Mask known secrets, passwords in URLs and ``name=value`` pairs; cut what is too long."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _USERINFO.sub(rf"\g<head>{MASK}", text)
        text = _ASSIGNED.sub(rf"\g<name>\g<quote>{MASK}", text)
        if len(text) > MAX_CHARS:
            text = f"{text[:MAX_CHARS]}… ({len(text) - MAX_CHARS} more)"
        return text

    def value(self, value: object) -> object:
        """Return the value as JSON can hold it, masked."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else repr(value)  # JSON has no NaN
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(v) for v in value]
        return self.text(repr(value))

    def mapping(self, mapping: Mapping[Any, object]) -> dict[str, object]:
        """Return the fields, those with a secret's name masked whole."""
        return {
            str(key): MASK if value and _SECRET_KEY.search(str(key)) else self.value(value)
            for key, value in mapping.items()
        }


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None
