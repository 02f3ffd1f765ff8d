"""``tapeflow config``: what is set, whether it makes sense, and in force on every worker."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import click
from pydantic import SecretStr

from domain.clock import SystemClock
from ops.span import Span
from schemas.errors import CommandError, ConfigInvalid, DependencyAway
from streams import setting_sources
from streams.setting_sources import ENV_FILE, MASK, TOML_FILE, Reading
from streams.settings import LIVE, Settings
from telemetry.logs import silenced

#: the worker waits ten seconds for its broker
ANSWER_S = 20.0

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
toml = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=TOML_FILE,
    show_default=True,
    help="Settings file to read.",
)
env = click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=ENV_FILE,
    show_default=True,
    help="Environment file to read.",
)


@click.group()
def config() -> None:
    """Show settings, check them, put them in force."""


@config.command()
@toml
@env
@click.option("--sources", is_flag=True, help="Say where each value comes from.")
@as_json
def show(file: Path, env_file: Path, sources: bool, as_json: bool) -> None:  # noqa: FBT001 - click
    """Print every setting as it is here; secrets are masked.

    Example: tapeflow config show --sources
    """
    reading = setting_sources.read(file, env_file)
    rows = [
        {
            "name": name.upper(),
            "value": _shown(getattr(reading.settings, name)),
            "source": reading.sources[name],
            "live": name in LIVE,
        }
        for name in Settings.model_fields
    ]
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "settings": rows}))
        return
    for row in rows:
        origin = f"  # {row['source']}{', live' if row['live'] else ''}" if sources else ""
        click.echo(f"{row['name']}={_line(row['value'])}{origin}")


@config.command()
@toml
@env
@click.option(
    "--against",
    type=Span(),
    help="Replay what providers answered lately, as in 15m: where would other ones have been asked?",
)
@as_json
def check(file: Path, env_file: Path, against: float | None, as_json: bool) -> None:  # noqa: FBT001 - click
    """Check settings as a worker would read them here; nothing is changed anywhere. Exit 3 if they are wrong.

    \b
    tapeflow config check --file candidate.toml
    tapeflow config check --file candidate.toml --against 15m
    """  # noqa: D301 - click wants the character
    if not file.exists() and file != TOML_FILE:
        raise click.BadParameter(f"{file} does not exist", param_hint="--file")
    try:
        reading = setting_sources.read(file, env_file)
    except ConfigInvalid as exc:
        if as_json:
            click.echo(json.dumps({"schema_version": 1, "ok": False, "error": str(exc)}))
        raise
    shadow = None
    if against is not None:
        # what folds outcomes brings Faust with it: a second that the other commands need not take
        from ops.shadow_check import shadow_check  # noqa: PLC0415

        with silenced("aiokafka"):
            shadow = shadow_check(reading, SystemClock(), against)
    given = {name: source for name, source in reading.sources.items() if source != "default"}
    if as_json:
        report = {"schema_version": 1, "ok": True, "error": None, "given": given}
        click.echo(json.dumps(report if shadow is None else {**report, "against": shadow.as_json()}))
        return
    if shadow is None:
        _show_given(reading, given)
    else:
        from ops.shadow_table import show_shadow  # noqa: PLC0415 - as above

        show_shadow(shadow)
    click.echo(f"valid: {len(given)} given, {len(Settings.model_fields) - len(given)} defaults", err=True)


def _show_given(reading: Reading, given: Mapping[str, str]) -> None:
    for name, source in given.items():
        restart = "" if name in LIVE else ", needs a restart"
        click.echo(f"{name.upper()}={_line(_shown(getattr(reading.settings, name)))}  # {source}{restart}")
    for name in sorted(reading.overridden):
        click.echo(f"{name.upper()} is pinned by the environment: what a file says is ignored", err=True)


@config.command()
@click.option("--url", help="Of any worker's page; default: WEB_HOST and WEB_PORT.")
@click.option("--note", default="", help="Why, for the history.")
@click.option("--actor", default=lambda: os.environ.get("USER", ""), help="Who, for the history.")
@click.option("--dry-run", is_flag=True, help="Only say what a reload would do.")
@as_json
def reload(url: str | None, note: str, actor: str, dry_run: bool, as_json: bool) -> None:  # noqa: FBT001 - click
    """Have a worker read its files again, and put what they say in force on every worker.

    All of it or nothing. The worker's OPS_TOKEN is sent along. Exit 3 if it is refused.

    Example: tapeflow config reload --note 'polygon is slow'
    """
    settings = setting_sources.read().settings
    where = (url or f"http://{settings.web_host}:{settings.web_port}").rstrip("/")
    token = settings.ops_token.get_secret_value()
    answer = asyncio.run(_ask(where, token, {"actor": actor, "note": note}, dry_run=dry_run))
    if as_json:
        click.echo(json.dumps({"schema_version": 1, **answer}))
    if not answer["ok"]:
        raise ConfigInvalid(f"refused, nothing has changed: {answer['error']}")
    if as_json:
        return
    click.echo(answer["policy_version"])
    would = "would change" if dry_run else "changed"
    click.echo(f"{would}: {', '.join(answer['changed']) or 'nothing'}", err=True)
    for key, said in (
        ("pinned", "pinned by the environment of that worker, so left as they are"),
        ("requires_restart", "different in the files, but need a restart"),
    ):
        if answer[key]:
            click.echo(f"{said}: {', '.join(answer[key])}", err=True)


async def _ask(url: str, token: str, words: dict[str, str], *, dry_run: bool) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            request = (
                session.get(f"{url}/ops/validate", allow_redirects=False)
                if dry_run
                else session.post(f"{url}/ops/config/reload", json=words, allow_redirects=False)
            )
            async with request as response:
                answer = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise DependencyAway(f"no worker answers at {url}: {str(exc) or type(exc).__name__}") from exc
    if not isinstance(answer, dict) or "ok" not in answer:
        detail = answer.get("detail") if isinstance(answer, dict) else None
        raise CommandError(f"the worker at {url} refused ({response.status}): {detail or 'no reason given'}")
    if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise DependencyAway(f"the worker at {url}: {answer['error']}")
    return answer


def _line(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    return list(value) if isinstance(value, tuple) else value
