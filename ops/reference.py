"""Every page under ``docs/reference`` that is made from code, in one table."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ops.cli import tapeflow
from schemas import errors, export
from schemas.errors import TapeflowError
from streams.settings import LIVE, Settings


def documents() -> dict[str, str]:
    """Return the text of each document, by its path under ``docs/reference``."""
    from telemetry import exposition  # noqa: PLC0415 - only this page needs it

    return {
        **export.documents(),
        "settings.md": settings_markdown(),
        "metrics.md": exposition.markdown(),
        "cli.md": cli_markdown(),
    }


def settings_markdown() -> str:
    """Return the page of settings."""
    lines = [
        "# Settings",
        "",
        "Made from `streams/setting_fields.py` by `make docs`. Environment over `.env` over `tapeflow.toml`",
        "over defaults; in `tapeflow.toml` the names are in small letters. Those marked live change on every",
        "worker with `tapeflow config reload`; the others need a restart",
        "([operating](../operating.md#settings)).",
        "",
        "| name | default | live | what |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = (
            ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        )
        shown = f"`{default}`" if default else "empty"
        reload = "yes" if name in LIVE else ""
        lines.append(f"| `{name.upper()}` | {shown} | {reload} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def cli_markdown() -> str:
    """Return the page of commands and exit codes."""
    lines = ["# Commands", "", "Made from the commands by `make docs`.", ""]
    # as when it is run: click remembers a command's help option from whoever asked for it first
    context = click.Context(
        tapeflow,
        info_name="tapeflow",
        terminal_width=100,
        max_content_width=100,
        **tapeflow.context_settings,
    )
    for path, command in _commands(tapeflow, context):
        lines += [f"## {path.command_path}", "", "```", command.get_help(path), "```", ""]
    lines += ["## Exit codes of errors", "", "| error | code | meaning |", "|---|---|---|"]
    for error in _tree(TapeflowError):
        meaning = (error.__doc__ or "").partition("\n")[0]
        lines.append(f"| `{error.__name__}` | {error.exit_code} | {meaning} |")
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    yield context, group
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        child = click.Context(
            command, parent=context, info_name=name, terminal_width=100, max_content_width=100
        )
        if isinstance(command, click.Group):
            yield from _commands(command, child)
        else:
            yield child, command


def _tree(root: type[TapeflowError]) -> Iterator[type[TapeflowError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)
