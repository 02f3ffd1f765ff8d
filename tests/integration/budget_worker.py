"""One of several workers that share an API key: sends as much as its gate lets through, until told to end."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from domain.clock import SystemClock
from providers.http import Http, Timeouts
from providers.limits import Budget, BudgetGate, Share, Window
from schemas.errors import RateLimited
from sinks import budgets
from sinks.budgets import SharedLeases
from sinks.database import Database


async def work(order: dict[str, Any]) -> dict[str, int]:
    clock = SystemClock()
    database = Database(order["database"], "tapeflow budgets", clock, budgets.prepare)
    budget = Budget("polygon", order["budget"], tuple(Window(*w) for w in order["windows"]))
    share: Share = order["share"]
    gate = BudgetGate(budget, share, SharedLeases(database), clock, patience_s=order["patience_s"])
    http = Http("polygon", order["server"], clock, gate=gate, timeouts=Timeouts(pause=0.01))
    counts = {"sent": 0, "told": 0, "refused": 0}
    stop = asyncio.Event()

    async def send() -> None:
        while not stop.is_set():
            try:
                answer = await http.get(f"/{share}")
            except RateLimited as exc:
                counts["refused"] += 1
                await asyncio.sleep(min(exc.retry_after_s, 0.2))
                continue
            counts["sent"] += 1
            if answer.status == 429:
                counts["told"] += 1
                http.block(float(answer.headers["Retry-After"]))
            await asyncio.sleep(order["pause_s"])

    senders = [asyncio.create_task(send()) for _ in range(order["in_flight"])]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    stop.set()
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    await gate.close()
    await http.close()
    await database.close()
    return counts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(json.loads(sys.argv[1])))))
