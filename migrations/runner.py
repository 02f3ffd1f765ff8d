"""Migrate a database up or down, and say where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from migrations.connection import Say, choose_option, connect
from migrations.files import SQL, MigrationFile, migration_files
from migrations.ledger import Applied, Ledger, read_ledger, read_steps, recorded_option
from schemas.errors import CheckFailed, ConfigInvalid


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Where one file stands in one database."""

    id: str
    option: str
    """``postgres`` or ``timescale``: what the database was, or would be, migrated with."""
    phase: str
    """``pre`` or ``post``."""
    applied_at: datetime | None
    """With time zone, by the clock of the database; None while it is pending."""
    pending: bool
    checksum_ok: bool | None
    """False: edited after it was applied; None: pending, or applied by a newer release."""


def _silent(_: str) -> None:
    return None


def _pending(files: list[MigrationFile], applied: dict[str, Applied]) -> list[MigrationFile]:
    """Return the files still to apply, after checking that history and folder agree."""
    for file in files:
        if file.id in applied and applied[file.id].sha256 != file.checksum:
            raise CheckFailed(
                f"{file.path.name} was changed after it was applied; "
                "restore it and put the change into a new file"
            )
    pending = [file for file in files if file.id not in applied]
    newest = max(applied, default="")
    if pending and pending[0].id < newest:
        raise CheckFailed(
            f"{pending[0].id} comes before {newest}, which is applied; give it the next free number"
        )
    return pending


def migrate_up(
    url: str,
    *,
    option: str | None = None,
    pre_only: bool = False,
    on_progress: Say | None = None,
    root: Path = SQL,
) -> list[str]:
    """Apply what is missing and return the ids that were applied, in order.

    Safe to call from several processes at once: one works, the others wait and find nothing to do.
    Each file is applied and recorded in one transaction, so a run that was killed is simply repeated.

    Args:
        url: ``postgresql://...``; a unix socket as ``postgresql://user@/db?host=%2Ffolder``.
        option: ``postgres`` or ``timescale``. None takes the one that the database was migrated with,
            else timescale if its extension is there or can be created, else postgres.
        pre_only: Stop before the first ``post`` file: workers of the release before are still running.
        on_progress: Called with one line of text for each thing worth telling.
        root: Folder with ``shared``, ``postgres`` and ``timescale``.

    Raises:
        ConfigInvalid: The URL is not valid, or the option is not possible.
        DependencyAway: The database cannot be reached.
        CheckFailed: The files are not in order, or an applied one was edited.
        CommandError: The database refused a statement; what came before it stays applied.
    """
    say = on_progress or _silent
    with Ledger.open(url, say) as ledger:
        applied = read_ledger(ledger.conn)
        recorded = recorded_option(applied)
        chosen = choose_option(ledger.conn, url, wanted=option, recorded=recorded, create=True, say=say)
        files = migration_files(chosen, root)
        todo = _pending(files, applied)
        if pre_only:
            todo = list(takewhile(lambda file: file.phase == "pre", todo))
        steps = read_steps(files)
        for file in todo:
            say(f"applying {file.id}")
            ledger.apply(steps[file.id], file, chosen)
    return [file.id for file in todo]


def migrate_down(url: str, *, steps: int = 1, on_progress: Say | None = None, root: Path = SQL) -> list[str]:
    """Undo the last `steps` files and return their ids, the newest first. Rows of dropped tables are lost.

    With nothing left applied, the option is forgotten too.

    Raises:
        ConfigInvalid: The URL is not valid, or `steps` is below 1.
        DependencyAway: The database cannot be reached.
        CheckFailed: An applied file was edited, or is not in this release.
        CommandError: The database refused a statement; what was undone before stays undone.
    """
    if steps < 1:
        raise ConfigInvalid(f"cannot undo {steps} steps; use 1 or more")
    say = on_progress or _silent
    with Ledger.open(url, say) as ledger:
        applied = read_ledger(ledger.conn)
        option = recorded_option(applied)
        if option is None:
            return []
        files = {file.id: file for file in migration_files(option, root)}
        _pending(list(files.values()), applied)
        undo = sorted(applied, reverse=True)[:steps]
        for name in undo:
            if name not in files:
                raise CheckFailed(f"{name} was applied by a newer release; undo it with that release")
        loaded = read_steps(files.values())
        for name in undo:
            say(f"undoing {name}")
            ledger.undo(loaded[name], files[name])
    return undo


def migration_status(url: str, *, option: str | None = None, root: Path = SQL) -> list[MigrationState]:
    """Return the state of every file, in order; changes nothing in the database and takes no lock.

    Files that a newer release applied are listed too.

    Raises:
        ConfigInvalid: The URL is not valid, or the option is not possible.
        DependencyAway: The database cannot be reached.
        CheckFailed: The names of the files are not in order.
    """
    with connect(url) as conn:
        applied = read_ledger(conn)
        recorded = recorded_option(applied)
        chosen = choose_option(conn, url, wanted=option, recorded=recorded, create=False, say=_silent)
    files = {file.id: file for file in migration_files(chosen, root)}
    states: list[MigrationState] = []
    for name in sorted(files.keys() | applied.keys()):
        row, file = applied.get(name), files.get(name)
        states.append(
            MigrationState(
                id=name,
                option=chosen,
                phase=name.split("_")[1],
                applied_at=row.applied_at if row else None,
                pending=row is None,
                checksum_ok=row.sha256 == file.checksum if row and file else None,
            )
        )
    return states
