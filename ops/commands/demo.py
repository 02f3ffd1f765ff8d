"""``tapeflow demo``: see it run, on a machine that has only Python."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from domain.clock import SystemClock
from ops.tick_sender import TickSender
from sandbox.demo.stages import Options, run
from telemetry.logs import silenced


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    envvar="DEMO_SECONDS",
    help="End by itself after so long (DEMO_SECONDS).",
)
@click.option(
    "--rate", type=click.FloatRange(1, 20_000), default=400.0, show_default=True, help="Trades a second."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Leave the database and the worker's log in this folder, which must be new or empty.",
)
def demo(seconds: float | None, rate: float, keep: Path | None) -> None:
    """Run a market, a broker, a database and one worker here, and show the candles that are stored.

    A simulated exchange trades 50 symbols, an hour behind the wall clock and 20 times as fast until it
    has caught up; a real worker folds the trades. Nothing but the packages is needed. The broker is a
    mock: it keeps nothing on disk, and of each partition only the last 5 MB. Ctrl-C stops it in order, a
    second one at once; nothing is left running, and no file.

    Exit codes: 0 stopped and every trade accounted for, 1 not so, or the worker ended by itself,
    4 a package is missing, 130 ended by a second Ctrl-C, 143 terminated.

    Example: DEMO_SECONDS=30 tapeflow demo
    """
    clock = SystemClock()
    options = Options(seconds, rate, keep)
    with silenced("aiokafka"):
        code = asyncio.run(run(options, lambda servers, topic: TickSender(servers, topic, clock), clock))
    sys.exit(code)
