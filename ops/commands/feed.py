"""``tapeflow feed``: a vendor's live feed to Kafka."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import click
import uvloop

from domain.clock import SystemClock
from ops.feed_site import FeedSite
from providers.alpaca.stream import StreamFeed
from providers.dialogue import Dialogue, What
from schemas.base import SYMBOL
from schemas.errors import BrokerAway, ConfigInvalid, DependencyAway, NotFound
from schemas.provider import PROVIDERS, ProviderName
from schemas.topics import QUOTES_RAW, TRADES
from sinks.leadership import Leadership
from streams import topics
from streams.feed import Feed
from streams.feed_dialogues import FEEDS, Format, dialogues
from streams.feed_options import FeedOptions
from streams.feed_records import FeedRecords
from streams.feed_tail import last_word
from streams.output import Output
from streams.settings import Settings, read_settings
from telemetry.logs import configure

log = logging.getLogger(__name__)

SPECS = {"trades": TRADES, "quotes": QUOTES_RAW}
SAY_S = 10.0
#: for the producer to end: everything has been delivered or given up by then
END_S = 3.0


@click.command()
@click.argument("vendor", type=click.Choice(PROVIDERS))
@click.option("--symbols", default="", metavar="A,B", help="By commas; * for all, where the vendor has that.")
@click.option(
    "--symbols-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One symbol a line; what follows # does not count.",
)
@click.option("--what", metavar="A,B", help="trades, quotes or both. Default: all that the vendor streams.")
@click.option("--feed", type=click.Choice(FEEDS), help="Of alpaca. Default: ALPACA_FEED.")
@click.option("--url", help="Default: the vendor's _WS_URL.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["msgpack", "json"]),
    default="msgpack",
    show_default=True,
    help="Of alpaca's messages.",
)
@click.option(
    "--buffer",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    help="Ticks that may wait for the broker; then the socket is not read.",
)
@click.option(
    "--web-port",
    type=click.IntRange(0, 65_535),
    help="Serve /livez, /readyz and /status on loopback; 0: any free port, told on stderr.",
)
def feed(
    vendor: str,
    symbols: str,
    symbols_file: Path | None,
    what: str | None,
    feed: str | None,
    url: str | None,
    form: str,
    buffer: int,
    web_port: int | None,
) -> None:
    """Send the live trades and quotes of VENDOR to Kafka, keyed by symbol, until told to stop.

    Start it more than once: one leads, by a lock in the database, and the others stand by. Whatever may be
    missing is told in the topics themselves, as discontinuity records on every partition.

    Keys come from the settings alone, as POLYGON_API_KEY.

    \b
    tapeflow feed polygon --symbols AAPL,MSFT
    tapeflow feed alpaca --feed iex --symbols-file symbols.txt --what trades

    Exit codes: 0 stopped, 2 usage, 3 key, plan, symbols or topics are wrong, 4 the broker is away.
    """  # noqa: D301 - click wants the character
    settings = read_settings()
    named = _symbols(symbols, symbols_file)
    name = cast(ProviderName, vendor)
    wanted = _what(what, name)
    try:
        make = dialogues(
            name,
            settings,
            named,
            wanted,
            feed=cast(StreamFeed | None, feed),
            url=url,
            form=cast(Format, form),
        )
        make()
    except NotFound as exc:
        raise ConfigInvalid(str(exc)) from exc
    _log_to_stderr(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, make, wanted, buffer, web_port))


async def _run(
    settings: Settings,
    make: Callable[[], Dialogue],
    wanted: tuple[What, ...],
    buffer: int,
    web_port: int | None,
) -> None:
    clock, first = SystemClock(), make()
    bootstrap = settings.kafka_bootstrap_servers
    specs = [SPECS[w] for w in wanted]
    try:
        cluster = await topics.describe(bootstrap)
    except BrokerAway as exc:
        raise DependencyAway(f"{exc}; is it up, and is KAFKA_BOOTSTRAP_SERVERS right?") from exc
    topics.require(cluster, prefix=settings.topic_prefix, partitions=settings.topic_partitions)
    records = FeedRecords({s.name: settings.partitions(s) for s in specs}, settings.topic)
    targets = [target for targets in records.targets.values() for target in targets]
    name = f"{settings.topic_prefix}feed {first.provider_name} {first.feed}"
    output = Output(bootstrap, "tapeflow-feed", settings.broker_budget_s, clock)
    await output.start()
    try:
        async with Leadership(settings.database_url.get_secret_value(), name, clock) as leadership:
            work = Feed(
                make,
                output,
                records,
                leadership,
                partial(last_word, bootstrap, targets, first.provider_name, first.feed),
                clock,
                FeedOptions(
                    lateness_ns=settings.lateness_ms * 1_000_000,
                    buffer_ticks=buffer,
                    drain_s=settings.stop_grace_s,
                ),
            )
            _listen(work)
            saying = asyncio.create_task(_say(work))
            try:
                async with FeedSite(work, clock, web_port) as site:
                    if site.url:
                        click.echo(f"tapeflow feed: {site.url}", err=True)
                    await work.run()
            finally:
                saying.cancel()
    finally:
        await _end(output)


async def _end(output: Output) -> None:
    """End the producer; while the broker is away it would wait for it for ever."""
    try:
        async with asyncio.timeout(END_S):
            await output.stop()
    except TimeoutError:
        log.error("the broker is away: what it has not taken is dropped, the next start tells the hole")  # noqa: TRY400 - nothing else is known


async def _say(work: Feed) -> None:
    received = delivered = 0
    while True:
        await asyncio.sleep(SAY_S)
        counts = work.counts
        log.info(
            "%s: %.1f ticks/s received, %.1f/s delivered, %d waiting, %d clocks, %d discontinuities",
            counts.state,
            (counts.received - received) / SAY_S,
            (counts.delivered - delivered) / SAY_S,
            work.buffered,
            counts.clocks,
            counts.holes,
        )
        received, delivered = counts.received, counts.delivered


def _listen(work: Feed) -> None:
    loop = asyncio.get_running_loop()

    def heard(number: int) -> None:
        loop.remove_signal_handler(number)  # the second one ends it at once
        work.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard, number)


def _log_to_stderr(settings: Settings) -> None:
    name = settings.worker_id or f"feed-{os.getpid()}"
    terminal = sys.stderr.isatty()
    secrets = settings.secrets()
    logging.config.dictConfig(
        configure(settings.log_level, settings.log_format, name, secrets, terminal=terminal)
    )


def _symbols(text: str, file: Path | None) -> tuple[str, ...]:
    words = text.split(",")
    if file is not None:
        words += [line.partition("#")[0] for line in file.read_text("utf-8").splitlines()]
    named = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if not named:
        raise click.UsageError("name symbols: --symbols AAPL,MSFT or --symbols-file FILE")
    if "*" in named and len(named) > 1:
        raise click.UsageError("--symbols * is all of them: name no others")
    for word in named:
        if word != "*" and not re.fullmatch(SYMBOL, word):
            raise click.UsageError(f"{word!r} is no symbol: write it as AAPL or BRK.B")
    return named


def _what(text: str | None, vendor: ProviderName) -> tuple[What, ...]:
    if text is None:
        return ("trades",) if vendor == "finnhub" else ("trades", "quotes")
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words or any(word not in SPECS for word in words):
        raise click.UsageError(f"--what {text}: trades, quotes or trades,quotes")
    return cast(tuple[What, ...], words)
