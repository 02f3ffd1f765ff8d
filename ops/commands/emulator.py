"""``tapeflow emulator``: the four vendors, simulated, on this machine."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import UTC, datetime
from typing import get_args

import click

from domain.clock import SystemClock
from sandbox.market.market import Market
from sandbox.vendors.clock import SECOND_NS, RunningTime
from sandbox.vendors.plans import VENDORS, PlanName, Plans
from sandbox.vendors.server import Emulator

SCHEMA_VERSION = 1
START = "2025-11-14T09:45:00-05:00"
MAX_SYMBOLS = 500


@click.command()
@click.option("--seed", type=int, default=7, show_default=True, help="Of the simulated market.")
@click.option(
    "--symbols",
    type=click.IntRange(1, MAX_SYMBOLS),
    default=20,
    show_default=True,
    help="How many are listed.",
)
@click.option("--start", default=START, show_default=True, metavar="TIME", help="Market time, ISO 8601.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Market seconds a second.",
)
@click.option(
    "--plan",
    type=click.Choice(get_args(PlanName)),
    default="paid",
    show_default=True,
    help="Whose keys are printed; keys of the other plans work too.",
)
@click.option("--port", type=click.IntRange(1, 65532), help="The first of four. Default: any free ones.")
def emulator(seed: int, symbols: int, start: str, speed: float, plan: PlanName, port: int | None) -> None:
    """Emulate polygon, alpaca, finnhub and Tiingo over one simulated exchange, until Ctrl-C.

    Prints one line of JSON with base URLs and keys once all four listen. Keys are `<vendor>-<plan>`,
    plans are free, delayed and paid; alpaca's secret is the key with `-secret` after it.

    \b
    tapeflow emulator --speed 60
    tapeflow emulator --seed 3 --symbols 500 --plan free --start 2025-11-28T12:50:00-05:00

    Exit codes: 0 stopped, 2 usage.
    """  # noqa: D301 - click wants the character
    try:
        at = datetime.fromisoformat(start)
    except ValueError as exc:
        raise click.UsageError(f"--start {start}: {exc}") from None
    if at.tzinfo is None:
        raise click.UsageError(f"--start {start}: add its zone, such as -05:00 or Z")
    asyncio.run(_run(Market(seed, symbols), int(at.timestamp()) * SECOND_NS, speed, plan, port))


async def _run(market: Market, start_ns: int, speed: float, plan: PlanName, port: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    ports = {vendor: port + n for n, vendor in enumerate(VENDORS)} if port else None
    time = RunningTime(start_ns, clock, speed)
    async with Emulator(market, time, Plans(plan), clock=clock, ports=ports) as running:
        running.log.keep_sent = False
        click.echo(json.dumps(_report(running, market, start_ns, speed, plan)))
        await stop.wait()


def _report(
    running: Emulator, market: Market, start_ns: int, speed: float, plan: PlanName
) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": market.seed,
        "start": datetime.fromtimestamp(start_ns // SECOND_NS, UTC).isoformat(),
        "speed": speed,
        "plan": plan,
        "symbols": market.symbols,
        "rest": running.urls,
        "feeds": running.feeds,
        "keys": running.keys,
        "alpaca_secret": running.secret(running.keys["alpaca"]),
    }
