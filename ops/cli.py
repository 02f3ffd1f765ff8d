"""The ``tapeflow`` command: one sub-command a noun, loaded only when it is called."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version

import click
from typing_extensions import override

from schemas.errors import TapeflowError

#: command -> "module:attribute"; a module is imported when its command runs or its help is asked for
COMMANDS = {
    "demo": "ops.commands.demo:demo",
    "up": "ops.commands.stack:up",
    "down": "ops.commands.stack:down",
    "status": "ops.commands.stack:status",
    "worker": "ops.commands.worker:worker",
    "migrate": "ops.commands.migrate:migrate",
    "retain": "ops.commands.retain:retain",
    "topics": "ops.commands.topics:topics",
    "offsets": "ops.commands.offsets:offsets",
    "config": "ops.commands.config:config",
    "feed": "ops.commands.feed:feed",
    "emulator": "ops.commands.emulator:emulator",
    "fetch": "ops.commands.fetch:fetch",
    "produce": "ops.commands.produce:produce",
    "jobs": "ops.commands.jobs:jobs",
    "tail": "ops.commands.tail:tail",
    "schema": "ops.commands.schema:schema",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them late."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("tapeflow"), prog_name="tapeflow")
def tapeflow() -> None:
    """Market data from Kafka to exact candles, quotes and gaps.

    stdout carries data, stderr progress. Exit codes: 0 ok, 1 unexpected, 2 usage, 3 configuration,
    4 dependency unreachable, 5 partial success, 6 check failed, 130 interrupted, 143 terminated.
    """


def main() -> None:
    """Run the command line; turn our errors into one sentence and their exit code."""
    try:
        code = tapeflow.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except TapeflowError as exc:
        click.echo(f"tapeflow: {exc}", err=True)
        code = exc.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
