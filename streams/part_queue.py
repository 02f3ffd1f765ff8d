"""A queue with a bound in what its items weigh: small ones may be many, large ones are few."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PartQueue(Generic[T]):
    """First in, first out."""

    def __init__(self, limit: int, weigh: Callable[[T], int]) -> None:
        """Take what all may weigh together before `put` waits; one item more always has room."""
        self._limit, self._weigh = limit, weigh
        self._items: asyncio.Queue[T] = asyncio.Queue()
        self._weight = 0
        self._room = asyncio.Event()

    async def put(self, item: T) -> None:
        """Wait until there is room."""
        while self._weight >= self._limit:
            self._room.clear()
            await self._room.wait()
        self._weight += self._weigh(item)
        self._items.put_nowait(item)

    async def get(self) -> T:
        """Wait until there is an item."""
        return self._taken(await self._items.get())

    def get_nowait(self) -> T:
        """Take an item.

        Raises:
            asyncio.QueueEmpty: there is none.
        """
        return self._taken(self._items.get_nowait())

    def empty(self) -> bool:
        """Return whether there is no item."""
        return self._items.empty()

    def _taken(self, item: T) -> T:
        self._weight -= self._weigh(item)
        self._room.set()
        return item
