"""The producers on the page for producers, run as they stand there, against a real broker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner

from sandbox import kafka_jars
from sandbox.cache import cached
from sandbox.java import java, maven
from schemas.decode import examine
from schemas.decode_jobs import examine_job
from schemas.errors import DependencyAway, Poison
from schemas.topics import JOBS, TRADES
from streams import topics
from tests.absent import absent
from tests.integration import records

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "producing.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language == "sh"]
JSON = [text for language, text in BLOCKS if language == "json"]
ADDRESS = "127.0.0.1:9092"
TIMEOUT_S = 60
#: the broker's jars have the server; the console producer is in one more
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tapeflow</groupId><artifactId>tests</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId>
      <version>{kafka_jars.VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

#: topic -> (key, value) of its records, in order within each partition
Landed = dict[str, list[tuple[str, dict[str, Any]]]]


@pytest.fixture(scope="session")
def console_producer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `kafka-console-producer.sh`, for PATH."""
    try:
        jars = [kafka_jars.kafka_jars(), cached(f"kafka-tools-{kafka_jars.VERSION}", fetch_tools, print)]
        run = [java(), "-cp", ":".join(f"{folder}/*" for folder in jars)]
    except DependencyAway as missing:
        absent(missing)
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "kafka-console-producer.sh"
    words = " ".join(f"'{word}'" for word in run)
    script.write_text(f'#!/bin/sh\nexec {words} org.apache.kafka.tools.ConsoleProducer "$@"\n')
    script.chmod(0o755)
    return folder


def fetch_tools(folder: Path) -> None:
    """Fetch the one jar: 0.7 MB."""
    pom = folder / "pom.xml"
    pom.write_text(POM)
    fetched = subprocess.run(
        [
            maven(), "--batch-mode", "--quiet", "--strict-checksums", "--file", pom, kafka_jars.PLUGIN,
            "-DincludeScope=runtime", "-DexcludeTransitive=true", f"-DoutputDirectory={folder}",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fetched.returncode:
        raise DependencyAway(f"Maven could not fetch the tools of Kafka: {fetched.stdout[-300:]}")


@pytest.fixture
async def here(kafka: Any, topic_prefix: str) -> Callable[[str], str]:
    """Return a function that puts our broker and our topics into a block, and nothing else."""
    await topics.apply(kafka.bootstrap, prefix=topic_prefix)
    for spec in (TRADES, JOBS):
        # waits for leaders: a producer that comes before they are there says so, and tries again
        assert records.read(kafka.bootstrap, topic_prefix + spec.name) == []

    def here(block: str) -> str:
        assert ADDRESS in block
        for spec in (TRADES, JOBS):
            block = block.replace(spec.name, topic_prefix + spec.name)
        return block.replace(ADDRESS, kafka.bootstrap)

    return here


@pytest.fixture
def landed(kafka: Any, topic_prefix: str) -> Callable[[], Landed]:
    """Return a function that reads what is on both topics; each key must have led to its partition."""

    def landed() -> Landed:
        found: Landed = {}
        for spec in (TRADES, JOBS):
            partitions = list(range(spec.partitions))
            found[spec.name] = []
            for message in records.read(kafka.bootstrap, topic_prefix + spec.name):
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert value is not None
                verdict = examine(value) if spec is TRADES else examine_job(value)
                assert not isinstance(verdict, Poison), verdict
                assert message.partition() == DefaultPartitioner()(key, partitions, partitions)
                found[spec.name].append((key.decode(), json.loads(value)))
        return found

    return landed


def test_the_page_has_what_it_promises():
    assert len(PYTHON) == 1
    assert [spec.name for spec in (TRADES, JOBS)] == [
        name for text in SHELL for name in re.findall(r"--topic (\S+)", text)
    ]


@pytest.mark.parametrize("text", JSON)
def test_an_example_keeps_its_contract(text):
    verdict = examine_job(text.encode()) if "job_id" in text else examine(text.encode())
    assert not isinstance(verdict, Poison), verdict


def test_aiokafka(here, landed):
    """From the page by way of the broker to the worker's decoders."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=here(PYTHON[0]),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = landed()
    ((symbol, trade),) = found[TRADES.name]
    assert (symbol, trade["symbol"], trade["price"]) == ("AAPL", "AAPL", 268.5)
    ((job_id, job),) = found[JOBS.name]
    assert (job_id, job["job_id"], job["job_type"]) == ("morning-2", "morning-2", "bars")


def test_the_console_producer(here, landed, console_producer):
    """Keys are cut off at the separator: in a value it would be no JSON."""
    for block in SHELL:
        done = subprocess.run(
            ["/bin/sh", "-e"],
            input=here(block),
            env=os.environ | {"PATH": f"{console_producer}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "ERROR Error when sending" not in done.stderr
    found = landed()
    assert {symbol: trade["symbol"] for symbol, trade in found[TRADES.name]} == {
        "AAPL": "AAPL",
        "BRK.B": "BRK.B",
    }
    assert {job_id: job["job_type"] for job_id, job in found[JOBS.name]} == {
        "latest-2": "quotes",
        "hole-2": "backfill",
    }
    assert all(job_id == job["job_id"] for job_id, job in found[JOBS.name])
