"""`tapeflow topics`, as a user runs it."""

from __future__ import annotations

import json

import pytest

from schemas.topics import TOPICS

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka, topic_prefix) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "TOPIC_PREFIX": topic_prefix,
        "TOPIC_PARTITIONS": "2",
    }


def test_diff_apply_diff(tapeflow, settings, topic_prefix):
    names = [topic_prefix + spec.name for spec in TOPICS]

    before = tapeflow("topics", "diff", settings=settings)
    assert before.returncode == 6
    assert [line.partition(":")[0] for line in before.stdout.splitlines()] == names
    assert before.stderr.startswith(f"tapeflow: {len(names)} differences between the catalogue and ")

    applied = tapeflow("topics", "apply", settings=settings)
    assert (applied.returncode, applied.stdout.splitlines()) == (0, [f"created {name}" for name in names])
    assert applied.stderr == f"{len(names)} created, 0 there already\n"

    after = tapeflow("topics", "diff", settings=settings)
    assert (after.returncode, after.stdout) == (0, "")
    assert "as the catalogue says" in after.stderr

    again = tapeflow("topics", "apply", "--json", settings=settings)
    assert json.loads(again.stdout) == {"schema_version": 1, "created": []}
    assert again.returncode == 0


def test_json_is_one_object_and_its_exit_code_the_same(tapeflow, settings, topic_prefix):
    applied = tapeflow("topics", "apply", "--json", settings=settings)
    assert json.loads(applied.stdout)["created"] == [topic_prefix + spec.name for spec in TOPICS]
    assert applied.stderr == ""
    diff = tapeflow("topics", "diff", "--partitions", "3", "--json", settings=settings)
    assert diff.returncode == 6
    found = json.loads(diff.stdout)
    assert found["schema_version"] == 1
    assert [
        line.endswith("2 partitions, 3 expected (TOPIC_PARTITIONS)") for line in found["differences"]
    ] == [True for spec in TOPICS if spec.ticks]


def test_options_win_over_settings(tapeflow, settings):
    elsewhere = settings | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    applied = tapeflow(
        "topics",
        "apply",
        "--bootstrap-servers",
        settings["KAFKA_BOOTSTRAP_SERVERS"],
        "--partitions",
        "1",
        settings=elsewhere,
    )
    assert applied.returncode == 0
    assert tapeflow("topics", "diff", settings=settings).returncode == 6
    assert tapeflow("topics", "diff", "--partitions", "1", settings=settings).returncode == 0


@pytest.mark.parametrize("command", ["apply", "diff"])
def test_no_broker_is_exit_4_and_one_sentence(tapeflow, settings, command):
    done = tapeflow("topics", command, settings=settings | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert (done.returncode, done.stdout) == (4, "")
    assert "tapeflow: no broker answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_setting_is_exit_3(tapeflow, settings):
    done = tapeflow("topics", "diff", settings=settings | {"TOPIC_PARTITIONS": "many"})
    assert (done.returncode, done.stdout) == (3, "")
    # the key and its value: it is no secret
    assert "TOPIC_PARTITIONS: " in done.stderr
    assert "(given: 'many')" in done.stderr


def test_a_bad_option_is_exit_2(tapeflow, settings):
    assert tapeflow("topics", "apply", "--partitions", "0", settings=settings).returncode == 2
