"""The account that a database server runs as: ours, or, as PostgreSQL refuses root, another one."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import DependencyAway

#: what root becomes: the first of these that exists
NAMES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    def may_pass(self, folder: Path) -> bool:
        """Whether the way to this folder, and the folder itself, is open to the account.

        Of a path that does not exist the part that exists counts.
        """
        return self.closed_at(folder) is None

    def closed_at(self, folder: Path) -> Path | None:
        """Return the first folder on the way that the account may not pass; None if all are open.

        Judged by owner, group and mode: that is what closes a home of mode 700.
        """
        whole = folder.resolve()
        for part in (*reversed(whole.parents), whole):
            try:
                found = part.stat()
            except FileNotFoundError:
                return None
            if found.st_uid == self.uid:
                bit = stat.S_IXUSR
            elif found.st_gid == self.gid:
                bit = stat.S_IXGRP
            else:
                bit = stat.S_IXOTH
            if not found.st_mode & bit:
                return part
        return None


def server_account() -> Account | None:
    """Return whom a database server runs as; None means the present user.

    Raises:
        DependencyAway: we are root, and there is no other account.
    """
    if os.geteuid() != 0:
        return None
    for name in NAMES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid)
    raise DependencyAway(
        f"PostgreSQL refuses to run as root, and this machine has no account {' or '.join(NAMES)}: "
        "run tapeflow as an ordinary user"
    )


def require_open(folder: Path, account: Account | None) -> None:
    """Refuse a folder that the server's account cannot enter.

    Raises:
        DependencyAway: naming the folder that is closed.
    """
    if account is not None and (closed := account.closed_at(folder)) is not None:
        raise DependencyAway(
            f"the database server runs as {account.name}, to whom {closed} is closed: "
            f"choose a folder elsewhere (TAPEFLOW_HOME), or chmod o+x {closed}"
        )


def temporary_folder(prefix: str) -> Path:
    """Make a new folder for short-lived servers, which their account can enter and only we can list.

    Raises:
        DependencyAway: no folder for temporary files is open to the account.
    """
    account = server_account()
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp below
        if Path(base).is_dir() and (account is None or account.may_pass(Path(base))):
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            folder.chmod(0o711)
            return folder
    assert account is not None
    raise DependencyAway(
        f"no folder for temporary files is open to {account.name}, whom the database server runs as: "
        "set TMPDIR to one that is"
    )
