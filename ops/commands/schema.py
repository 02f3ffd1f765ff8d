"""``tapeflow schema``: the contracts as documents."""

from __future__ import annotations

from pathlib import Path

import click

from ops.reference import documents
from schemas.errors import CheckFailed, PartialSuccess


@click.group()
def schema() -> None:
    """Write the reference that is made from code, or check that it has not drifted."""


@schema.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/reference"),
    show_default=True,
    help="Folder to write to.",
)
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
    for name in drifted:
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], "utf-8")
        except OSError as exc:
            raise PartialSuccess(f"cannot write {path}: {exc.strerror}") from exc
        click.echo(str(path))
    click.echo(f"{len(drifted)} written, {len(wanted) - len(drifted)} as they were", err=True)
