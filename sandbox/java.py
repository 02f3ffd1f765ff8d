"""The Java that Kafka runs on, and the Maven that fetches it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from schemas.errors import DependencyAway

OLDEST = 17
VERSION_S = 20


def java() -> str:
    """Return the java to run: that of JAVA_HOME, else that of PATH.

    Raises:
        DependencyAway: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None) or shutil.which("java")
    if found is None:
        raise DependencyAway(
            f"Kafka needs Java {OLDEST} or newer, and there is no java: install openjdk-17-jre-headless, "
            "or use Docker"
        )
    asked = subprocess.run(
        [found, "-version"], capture_output=True, text=True, check=False, timeout=VERSION_S
    )
    version = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    if version is None or int(version[1]) < OLDEST:
        said = asked.stderr.partition("\n")[0]
        raise DependencyAway(
            f"Kafka needs Java {OLDEST} or newer, and {found} is {said or 'broken'}: "
            "install openjdk-17-jre-headless, or set JAVA_HOME"
        )
    return found


def maven() -> str:
    """Return the mvn to run.

    Raises:
        DependencyAway: there is none.
    """
    found = shutil.which("mvn")
    if found is None:
        raise DependencyAway("Kafka is fetched with Maven, and there is no mvn: install maven, or use Docker")
    return found
