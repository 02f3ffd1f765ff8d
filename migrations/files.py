"""The SQL files on disk: their names, their order, what is wrong with them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import CheckFailed, ConfigInvalid

#: Folder of the shipped files; ``README.md`` in it says what runs where.
SQL = Path(__file__).parent / "sql"

SHARED = "shared"
POSTGRES = "postgres"
TIMESCALE = "timescale"
OPTIONS = (POSTGRES, TIMESCALE)

ROLLBACK = ".rollback.sql"
NAME = re.compile(r"^(?P<number>[0-9]{4})_(?P<phase>pre|post)_[a-z0-9]+(_[a-z0-9]+)*$")


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One step: ``id`` is the file name without ``.sql``; ids sort in the order of application."""

    id: str
    path: Path

    @property
    def phase(self) -> str:
        """``pre``: safe while the release before still runs; ``post``: only when it is gone."""
        return self.id.split("_")[1]

    @property
    def folder(self) -> str:
        """``shared``, ``postgres`` or ``timescale``."""
        return self.path.parent.name

    @property
    def rollback(self) -> Path:
        """The file that undoes it."""
        return self.path.with_name(self.id + ROLLBACK)

    @property
    def checksum(self) -> str:
        """SHA-256 (hex) of the file; line ends do not count, a checkout may change them."""
        return hashlib.sha256(self.path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def known_option(option: str) -> str:
    """Return `option` if there is such an option.

    Raises:
        ConfigInvalid: There is none; the message lists them.
    """
    if option not in OPTIONS:
        raise ConfigInvalid(f"there is no migration option {option!r}; use one of {', '.join(OPTIONS)}")
    return option


def migration_files(option: str, root: Path = SQL) -> list[MigrationFile]:
    """Return the files that `option` runs, in order: those of ``shared`` and of its own folder.

    Raises:
        ConfigInvalid: There is no such option.
        CheckFailed: A name breaks the rule, a number is used twice, or a rollback file is missing.
    """
    found: list[MigrationFile] = []
    for folder in (SHARED, known_option(option)):
        paths = (root / folder).glob("*.sql")
        found += [MigrationFile(path.stem, path) for path in paths if not path.name.endswith(ROLLBACK)]
    found.sort(key=lambda file: file.id)
    numbers: dict[str, str] = {}
    for file in found:
        match = NAME.match(file.id)
        if match is None:
            raise CheckFailed(f"{file.path.name} is not named NNNN_<pre|post>_words.sql; rename it")
        other = numbers.setdefault(match["number"], file.id)
        if other != file.id:
            raise CheckFailed(f"{file.id} and {other} have the same number; give one the next number")
        if not file.rollback.exists():
            raise CheckFailed(f"{file.id} cannot be undone; write {file.rollback.name}")
    return found
