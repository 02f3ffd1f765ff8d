"""Apache Kafka as Maven knows it: the jars of the broker, fetched once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sandbox.cache import cached, is_cached
from sandbox.java import java, maven
from sandbox.readiness import Say, silent
from schemas.errors import DependencyAway

VERSION = "4.4.0"
NAME = f"kafka-{VERSION}"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# Kafka brings log4j and the old slf4j, but nothing that joins them: without it the broker logs nothing
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tapeflow</groupId><artifactId>sandbox</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.5</version>
    </dependency>
  </dependencies>
</project>
"""


def require() -> None:
    """Check what Kafka needs, without fetching anything.

    Raises:
        DependencyAway: naming what is to be installed.
    """
    java()
    if not is_cached(NAME):
        maven()


def kafka_jars(say: Say = silent) -> Path:
    """Return the folder of the jars; fetch them if they are missing (43 MB).

    Raises:
        DependencyAway: there is no Maven, or it could not fetch them.
    """

    def fetch(folder: Path) -> None:
        mvn = maven()
        say(f"fetching Kafka {VERSION} with Maven, once")
        pom = folder / "pom.xml"
        pom.write_text(POM)
        # --strict-checksums: a damaged download fails here and not as a broker that does odd things
        fetched = subprocess.run(
            [
                mvn, "--batch-mode", "--quiet", "--strict-checksums", "--file", pom, PLUGIN,
                "-DincludeScope=runtime", f"-DoutputDirectory={folder}",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )  # fmt: skip
        if fetched.returncode:
            lines = (line.removeprefix("[ERROR]").strip() for line in fetched.stdout.splitlines())
            said = next(filter(None, lines), f"exit code {fetched.returncode}")
            raise DependencyAway(
                f"Maven could not fetch Kafka {VERSION}; is its repository reachable? {said}"
            )

    return cached(NAME, fetch, say)
