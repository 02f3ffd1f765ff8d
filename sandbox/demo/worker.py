"""The demo's worker: the real one, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.port import free_port, is_free
from sandbox.process import die_with_owner
from sandbox.readiness import tail
from streams.settings import Settings

#: it may store what is in flight for so long after SIGTERM, and needs a moment to close
STOP_S = 30.0
LOG_LINES = 15
#: where the status page is expected
USUAL_PORT = 8000


class DemoWorker:
    """Started with nothing of this user's configuration; ends with this process in every case (Linux)."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        """Start it.

        Args:
            settings: names as in `Settings`, in capitals.
            folder: becomes its working directory and gets its log.
        """
        self.name = f"demo-{os.getpid()}"
        """WORKER_ID, as its page shows it."""
        port = USUAL_PORT if is_free(USUAL_PORT) else free_port()
        self.url = f"http://127.0.0.1:{port}/"
        """Of its status page."""
        self._log = folder / "worker.log"
        # neither this user's environment nor a .env or tapeflow.toml here may reach into the demo
        known = {name.upper() for name in Settings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in known}
        root = str(Path(__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        ours = {"PYTHONPATH": path, "WORKER_ID": self.name, "WEB_PORT": str(port), "LOG_FORMAT": "console"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", "worker"],
                env={**inherited, **ours, **settings},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the demo, which tells the worker to stop when everything is stored
                start_new_session=True,
                # nothing is worth storing then: broker and database end at the same moment
                preexec_fn=die_with_owner(signal.SIGKILL),  # noqa: PLW1509 - must happen in the child
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def tail(self) -> str:
        """Return the end of its log."""
        return tail(self._log, LOG_LINES)

    def stop(self) -> int:
        """Tell it to stop and wait until it has; return its exit code, below 0 if it had to be killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it now if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
