"""``tapeflow schema``: the contracts as documents, their releases, and a file held against one."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from domain.clock import SystemClock
from ops.reference import documents
from ops.schema_check import CHECKABLE, Problem, SchemaCheck
from schemas.errors import CheckFailed, PartialSuccess
from schemas.export import contracts, dump

SCHEMA_VERSION = 1
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
#: lines between two looks of the progress bar
PACE = 1_000

out_folder = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/reference"),
    show_default=True,
    help="Folder to write to.",
)


@click.group()
def schema() -> None:
    """Write the reference that is made from code, freeze contracts, check files against them."""


@schema.command()
@out_folder
@click.option("--check", is_flag=True, help="Write nothing; exit 6 if a document differs.")
def export(out: Path, check: bool) -> None:  # noqa: FBT001 - click
    """Write JSON Schemas, AsyncAPI, topics, settings, metrics and commands.

    Example: tapeflow schema export --check
    """
    wanted = documents()
    drifted = [
        name
        for name, text in wanted.items()
        if not (out / name).exists() or (out / name).read_text("utf-8") != text
    ]
    if check:
        for name in drifted:
            click.echo(str(out / name))
        if drifted:
            raise CheckFailed(f"{len(drifted)} documents have drifted: `make docs` writes them anew")
        return
    _write(out, {name: wanted[name] for name in drifted})
    click.echo(f"{len(drifted)} written, {len(wanted) - len(drifted)} as they were", err=True)


@schema.command()
@click.argument("version")
@out_folder
def freeze(version: str, out: Path) -> None:
    """Copy the contracts of today to released/VERSION: from now on they are kept.

    Tests compare the contracts with every frozen release. A release is frozen once.

    Example: tapeflow schema freeze 1.2.0
    """
    if not VERSION.fullmatch(version):
        raise click.UsageError(f"{version!r} is no version like 1.2.0")
    folder = out / "released" / version
    if folder.exists():
        raise click.UsageError(f"{version} is frozen already, in {folder}")
    frozen = {f"{name}.json": dump(contract.schema) for name, contract in contracts().items()}
    _write(folder, frozen)
    click.echo(f"{len(frozen)} contracts frozen as {version}", err=True)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as exc:
            raise PartialSuccess(f"cannot write {path}: {exc.strerror}") from exc
        click.echo(str(path))


@schema.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--topic",
    type=click.Choice(list(CHECKABLE)),
    help="What the lines are; default: told by the fields of the first line, and said.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(file: str, topic: str | None, as_json: bool) -> None:  # noqa: FBT001 - click
    """Check FILE (one JSON value a line; - is stdin) as the worker would check its lines as records.

    Bad lines are told with line, field and reason. Nothing is sent, and no broker is needed.

    \b
    tapeflow schema check trades.ndjson
    zcat jobs.ndjson.gz | tapeflow schema check - --topic md.jobs.v1 --json

    Exit codes: 0 all lines are good, 2 usage, 5 some are bad.
    """  # noqa: D301 - click wants the character
    with click.open_file(file, "rb") as lines, _until_nobody_reads():
        work = SchemaCheck(lines, SystemClock(), CHECKABLE[topic] if topic else None)
        if work.topic is None:
            raise click.UsageError(f"cannot tell the topic: {work.unclear}; add --topic")
        if not topic:
            click.echo(f"checked as values of {work.topic.name} (--topic says it)", err=True)
        size = None if file == "-" else os.fstat(lines.fileno()).st_size
        with _progress(size) as bar:
            problems = _watched(work, bar)
            if as_json:
                _tell_as_json(work, problems)
            else:
                for problem in problems:
                    click.echo(f"line {problem.line}: {problem.field}: {problem.message}")
    click.echo(f"{work.lines:,} lines, {work.lines - work.bad:,} good, {work.bad:,} bad", err=True)
    if work.bad:
        raise PartialSuccess(f"{work.bad:,} of {work.lines:,} lines are no values of {work.topic.name}")


def _tell_as_json(work: SchemaCheck, problems: Iterator[Problem]) -> None:
    """Write one object piece by piece: a file may have more bad lines than memory holds."""
    assert work.topic is not None
    begun = {"schema_version": SCHEMA_VERSION, "topic": work.topic.name}
    click.echo(f'{json.dumps(begun)[:-1]}, "problems": [', nl=False)
    separator = "\n"
    for problem in problems:
        click.echo(f"{separator}{json.dumps(problem._asdict())}", nl=False)
        separator = ",\n"
    ended = {"lines": work.lines, "good": work.lines - work.bad, "bad": work.bad}
    click.echo(f"], {json.dumps(ended)[1:]}")


def _watched(work: SchemaCheck, bar: Progress) -> Iterator[Problem]:
    task = bar.task_ids[0]
    for problem in work.problems():
        if work.lines % PACE == 0:
            bar.update(task, completed=work.bytes_read, lines=work.lines, bad=work.bad)
        if problem:
            yield problem


def _progress(size: int | None) -> Progress:
    progress = Progress(
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.fields[lines]:,} lines  {task.fields[bad]:,} bad"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        # above the bar if both are on the terminal; a pipe or file gets it unchanged
        redirect_stdout=sys.stdout.isatty(),
        disable=not sys.stderr.isatty(),
    )
    progress.add_task("", total=size, lines=0, bad=0)
    return progress


@contextmanager
def _until_nobody_reads() -> Iterator[None]:
    """End quietly when the reader of stdout (head, say) has seen enough: lines were bad, so with 5."""
    try:
        yield
    except BrokenPipeError:
        # what is still buffered would raise again when Python flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(PartialSuccess.exit_code) from None
