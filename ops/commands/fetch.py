"""``tapeflow fetch``: ask one vendor, as a worker would, and print what it says."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, cast

import click
import msgspec
from typing_extensions import override

from domain.clock import SystemClock
from providers.base import BarsRequest, BarsResult, Provider, QuotesRequest, QuotesResult
from providers.limits import LocalLeases
from schemas.errors import BadRequest, CommandError, DependencyAway, ProviderAway, ProviderError, RateLimited
from schemas.instant import nanos
from schemas.provider import INTERVALS, PROVIDERS, Adjustment, Interval, ProviderName
from streams.settings import read_settings
from streams.vendors import client

#: of minutes of bars: a page of a busy vendor, and a pause at its limit
PATIENCE_S = 120.0

provider = click.argument("provider", type=click.Choice(PROVIDERS))
symbols = click.argument("symbols")


class _Instant(click.ParamType):
    name = "time"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return nanoseconds since the epoch."""
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not ISO 8601", param, ctx)
        if at.tzinfo is None:
            self.fail(f"{value!r} has no zone: write {value}Z, say", param, ctx)
        return nanos(at)


@click.group()
def fetch() -> None:
    """Ask a vendor for bars or quotes; rows go to stdout, one JSON object a line. Nothing is stored."""


@fetch.command()
@provider
@symbols
@click.option("--start", type=_Instant(), required=True, help="First moment, ISO 8601 with a zone.")
@click.option("--end", type=_Instant(), required=True, help="First moment after it.")
@click.option(
    "--interval", type=click.Choice(INTERVALS), default="1m", show_default=True, help="Length of a bar."
)
@click.option(
    "--adjustment",
    type=click.Choice(["raw", "split", "all"]),
    default="raw",
    show_default=True,
    help="What prices are adjusted for.",
)
@click.option("--regular", is_flag=True, help="Without the bars before the open and after the close.")
def bars(
    provider: str, symbols: str, start: int, end: int, interval: str, adjustment: str, *, regular: bool
) -> None:
    """Print the bars of SYMBOLS (by commas) that start in a window.

    Example: tapeflow fetch bars alpaca AAPL,MSFT --start 2026-11-20T14:30Z --end 2026-11-20T15:00Z
    """
    request = BarsRequest(
        _symbols(symbols),
        cast(Interval, interval),
        start,
        end,
        cast(Adjustment, adjustment),
        extended_hours=not regular,
    )
    _run(provider, lambda vendor: vendor.bars(request))


@fetch.command()
@provider
@symbols
@click.option("--start", type=_Instant(), help="First moment; without a window the latest quotes.")
@click.option("--end", type=_Instant(), help="First moment after it.")
def quotes(provider: str, symbols: str, start: int | None, end: int | None) -> None:
    """Print quotes of SYMBOLS (by commas), the latest or those of a window.

    Example: tapeflow fetch quotes polygon AAPL
    """
    request = QuotesRequest(_symbols(symbols), start, end)
    _run(provider, lambda vendor: vendor.quotes(request))


def _run(name: str, ask: Callable[[Provider], Awaitable[BarsResult | QuotesResult]]) -> None:
    result = asyncio.run(_ask(cast(ProviderName, name), ask))
    encode = msgspec.json.Encoder().encode
    for row in result.rows:
        sys.stdout.buffer.write(encode(row) + b"\n")
    sys.stdout.flush()
    source = result.source
    said = {
        "rows": len(result.rows),
        "requests": result.requests,
        "missing": list(result.missing),
        "covered_ns": result.covered_ns,
        "provider": source.provider,
        "feed": source.feed,
        "coverage": source.coverage,
        "rule": source.rule,
        "delayed": source.delayed,
    }
    click.echo(json.dumps(said), err=True)


async def _ask(
    name: ProviderName, ask: Callable[[Provider], Awaitable[BarsResult | QuotesResult]]
) -> BarsResult | QuotesResult:
    clock = SystemClock()
    vendor = client(name, read_settings(), clock, LocalLeases(clock), share="backfill", patience_s=PATIENCE_S)
    try:
        return await ask(vendor)
    except BadRequest as exc:
        raise click.UsageError(str(exc)) from exc
    except (ProviderAway, RateLimited) as exc:
        raise DependencyAway(str(exc)) from exc
    except ProviderError as exc:
        raise CommandError(f"{exc} ({type(exc).__name__})") from exc
    finally:
        await vendor.close()


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)
