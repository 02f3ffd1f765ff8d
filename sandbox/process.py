"""A program in the background, known by a file, and never mistaken for another one with its number."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.account import Account
from sandbox.readiness import wait_until

KILL_S = 10.0
PR_SET_PDEATHSIG = 1
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Command:
    """What to run, and how."""

    arguments: Sequence[str | Path]
    folder: Path
    """The working folder."""
    environment: Mapping[str, str] | None = None
    """None: ours."""
    account: Account | None = None
    """None: the present user."""


def start_mark(pid: int) -> str | None:
    """Return what tells this process from an earlier or later one with its number.

    None if there is none, or a dead one that nobody has reaped: where PID 1 does not reap, such a one
    stays for long and still answers signals.
    """
    if not BOOT_ID.exists():
        return _mark_by_ps(pid)
    try:
        # after the name, which may hold anything: the state, and 19 fields later the time of the start
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else f"{BOOT_ID.read_text().strip()} {fields[19]}"


def _mark_by_ps(pid: int) -> str | None:
    asked = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = asked.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def die_with_owner(death: signal.Signals) -> Callable[[], None]:
    """Return what ties a new child to us: it gets the signal when we die, even by SIGKILL (Linux only).

    Runs in the child, after it has taken its account: the kernel forgets the tie when that changes. The
    tie is to the *thread* that starts the child, which must live as long as we do.
    """
    owner = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def tie() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(death), 0, 0, 0)
            if os.getppid() != owner:
                os._exit(1)

    return tie


class Process:
    """One program: started by one process, found again, signalled and ended by any."""

    def __init__(self, file: Path) -> None:
        """Take the file that names the process; it need not exist."""
        self._file = file
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its number, while it runs."""
        pid = self._noted()
        if self._child is not None:
            # after the look: what was found dead is reaped as well
            self._child.poll()
        return pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    def start(self, command: Command, log: Path, *, tied: signal.Signals | None) -> None:
        """Start it in a session of its own, so that Ctrl-C in our terminal does not reach it.

        Args:
            command: what to run.
            log: its stdout and stderr are appended here.
            tied: the signal it gets when we die; None: it lives on.
        """
        account = command.account
        user = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
        with log.open("ab") as out:
            child = subprocess.Popen(
                command.arguments,
                cwd=command.folder,
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=None if tied is None else die_with_owner(tied),  # noqa: PLW1509
                **user,  # type: ignore[call-overload]
            )
        try:
            self._note(child.pid)
        except BaseException:  # Ctrl-C too: a child that nobody knows must not stay
            child.kill()
            child.wait()
            raise
        self._child = child

    def _noted(self) -> int | None:
        try:
            noted = json.loads(self._file.read_text())
            pid, mark = int(noted["pid"]), noted["started"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return pid if mark is not None and start_mark(pid) == mark else None

    def _note(self, pid: int) -> None:
        new = self._file.with_name(self._file.name + ".new")
        new.write_text(json.dumps({"pid": pid, "started": start_mark(pid)}))
        new.replace(self._file)

    def end(self, first: signal.Signals, grace_s: float) -> None:
        """End it with a signal, after the grace with SIGKILL; return when it is gone."""
        if self._send(first) and not wait_until(lambda: not self.alive, grace_s):
            self._send(signal.SIGKILL)
            wait_until(lambda: not self.alive, KILL_S)
        if self._child is not None:
            # its threads may outlive their leader for a moment, and it cannot be reaped before
            self._child.wait(KILL_S)
        self._file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once, as a crash would; wait until it is gone."""
        self.end(signal.SIGKILL, KILL_S)

    def _send(self, signum: signal.Signals) -> bool:
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return False
        return True
