"""A request made plain, and its window cut into parts that a vendor answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from providers.base import BarsRequest, QuotesRequest
from schemas.errors import BadRequest

Request = TypeVar("Request", BarsRequest, QuotesRequest)
Item = TypeVar("Item")
Result = TypeVar("Result")


def plain(request: Request, provider: str) -> Request:
    """Return the request with each symbol once.

    Raises:
        BadRequest: it names no symbol, half a window or an empty one.
    """
    start: int | None = request.start_ns
    end: int | None = request.end_ns
    if not request.symbols:
        raise BadRequest("symbols: none", provider=provider)
    if (start is None) != (end is None):
        raise BadRequest("window: one end is missing", provider=provider)
    if start is not None and end is not None and start >= end:
        raise BadRequest(f"window: [{start}, {end}) is empty", provider=provider)
    return replace(request, symbols=tuple(dict.fromkeys(request.symbols)))


def parts(start_ns: int, end_ns: int, length_ns: int) -> Iterator[tuple[int, int]]:
    """Yield half-open windows of at most this length that together are the window, in order."""
    for at in range(start_ns, end_ns, length_ns):
        yield at, min(at + length_ns, end_ns)


async def each(items: Iterable[Item], ask: Callable[[Item], Awaitable[Result]], at_once: int) -> list[Result]:
    """Ask for every item, so many at a time, and return the results in the order of the items.

    The first error ends the others and is raised as it is.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(item: Item) -> Result:
        async with slots:
            return await ask(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as errors:  # one of them goes on upwards: nothing is swallowed
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
