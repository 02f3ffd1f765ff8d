"""The root of the command line: commands found late, errors told in a sentence with their code."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from ops import cli
from ops.reference import _commands, cli_markdown, settings_markdown
from schemas import errors
from schemas.errors import Reason, TapeflowError
from streams.settings import Settings


def every_command() -> list[tuple[click.Context, click.Command]]:
    context = click.Context(cli.tapeflow, info_name="tapeflow", **cli.tapeflow.context_settings)
    return list(_commands(cli.tapeflow, context))


def end(monkeypatch, error: BaseException | None) -> int:
    """Run `main` with one command that raises; return the exit code."""

    @click.command()
    def faulty() -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(cli.tapeflow, "get_command", lambda context, name: faulty)
    monkeypatch.setattr(sys, "argv", ["tapeflow", "faulty"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def tree(error: type[TapeflowError]) -> list[type[TapeflowError]]:
    return [error, *(leaf for child in error.__subclasses__() for leaf in tree(child))]


PLAIN = [e for e in tree(TapeflowError) if e is not errors.Poison and not issubclass(e, errors.ProviderError)]


@pytest.mark.parametrize("error", PLAIN)
def test_an_error_of_ours_is_one_line_and_its_code(monkeypatch, capsys, error):
    assert end(monkeypatch, error("what to do about it")) == error.exit_code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "tapeflow: what to do about it\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (click.UsageError("no"), 2),
        (click.ClickException("no"), 1),
        (click.exceptions.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (click.exceptions.Exit(143), 143),
        (errors.Poison(Reason.SCHEMA, "price: no"), 1),
        (errors.Malformed("no", provider="iex", status=200), 1),
    ],
)
def test_the_other_ends(monkeypatch, capsys, error, code):
    assert end(monkeypatch, error) == code
    assert "Traceback" not in capsys.readouterr().err


def test_what_nobody_expected_is_not_hidden(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        end(monkeypatch, ZeroDivisionError())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_can_be_imported_and_has_help(name):
    done = CliRunner().invoke(cli.tapeflow, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"Usage: tapeflow {name}")


def test_an_unknown_command_is_a_usage_error():
    done = CliRunner().invoke(cli.tapeflow, ["nonsense"])
    assert done.exit_code == 2
    assert "No such command 'nonsense'" in done.stderr


def test_the_version():
    assert (
        CliRunner().invoke(cli.tapeflow, ["--version"]).stdout == f"tapeflow, version {version('tapeflow')}\n"
    )


def test_the_root_imports_no_framework():
    """`tapeflow --version` and a usage error must be quick."""
    heavy = "faust", "aiokafka", "psycopg", "pydantic", "aiohttp", "rich"
    code = f"import sys, ops.cli; sys.exit(','.join(m for m in {heavy} if m in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", every_command(), ids=lambda found: found[0].command_path)
def test_every_command_and_option_says_what_it_does(command):
    context, found = command
    assert found.help, f"{context.command_path} has no help"
    for option in found.params:
        if isinstance(option, click.Option):
            assert option.help, f"{context.command_path} {option.opts[0]} has no help"


def test_the_page_of_commands_has_every_command_and_every_error():
    page = cli_markdown()
    assert re.findall(r"^## (tapeflow.*)$", page, re.MULTILINE) == [
        c.command_path for c, _ in every_command()
    ]
    for error in tree(TapeflowError):
        if error.__module__ == errors.__name__:
            assert f"| `{error.__name__}` | {error.exit_code} |" in page


def test_the_page_of_settings_has_every_setting_and_no_secret():
    page = settings_markdown()
    assert re.findall(r"^\| `([A-Z0-9_]+)` \|", page, re.MULTILINE) == [
        n.upper() for n in Settings.model_fields
    ]
    assert "postgresql://postgres@" not in page
    assert re.search(r"^\| `POLICY_BARS_1M` \| `polygon,alpaca,finnhub,iex` \| yes \|", page, re.MULTILINE)
    assert re.search(r"^\| `WEB_PORT` \| `8000` \|  \|", page, re.MULTILINE)
