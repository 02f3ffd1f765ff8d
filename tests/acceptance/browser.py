"""Headless Chromium, as a person would open the page."""

from __future__ import annotations

import shutil
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

from tests.absent import absent

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def chromium() -> str:
    """Return the browser; without one the test fails in CI and is skipped elsewhere."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        absent("Chromium is not installed (Debian: apt install chromium)")
    return found


def dom(url: str, profile: Path, wait_ms: int = 4_000) -> str:
    """Return the document as it stands after ``wait_ms`` of virtual time, scripts run."""
    return _run(url, profile, "--dump-dom", f"--virtual-time-budget={wait_ms}")


def screenshot(url: str, profile: Path, path: Path, size: str = "1280,1000") -> None:
    """Take a picture."""
    _run(url, profile, f"--screenshot={path}", f"--window-size={size}", "--virtual-time-budget=3000")


class Watch:
    """A server between browser and worker that notes who asks for what; use it as a context manager."""

    def __init__(self, origin: str) -> None:
        refreshes: list[str] = []

        class Forward(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers.get("HX-Request"):
                    refreshes.append(self.path)
                with urllib.request.urlopen(origin + self.path) as answer:
                    body = answer.read()
                    self.send_response(answer.status)
                    for name in ("Content-Type", "Content-Security-Policy"):
                        if name in answer.headers:
                            self.send_header(name, answer.headers[name])
                    self.end_headers()
                    self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

        self.refreshes = refreshes
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _run(url: str, profile: Path, *flags: str) -> str:
    done = subprocess.run(
        [chromium(), *FLAGS, f"--user-data-dir={profile}", *flags, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout
