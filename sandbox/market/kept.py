"""Memory of what was drawn last: drawing again gives the same, so forgetting costs time alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Keeps the values that were asked for most recently."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[Key, Value] = {}

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key; make it if it is not kept."""
        values = self._values
        try:
            value = values.pop(key)
        except KeyError:
            value = make()
            if len(values) >= self._size:
                del values[next(iter(values))]
        values[key] = value
        return value
