"""Settings: what is refused and how it is told, who wins, and what never shows."""

from __future__ import annotations

import json
import os

import pytest

from schemas.errors import ConfigInvalid
from schemas.topics import TRADES
from streams.settings import Settings, read_settings

#: name, a value that is refused
REFUSED = [
    ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1"),
    ("KAFKA_BOOTSTRAP_SERVERS", "a:1,,b:2"),
    ("GROUP_INSTANCE_ID", "pod 1"),
    ("KAFKA_GROUP", "no spaces"),
    ("KAFKA_GROUP", "x" * 65),
    ("TOPIC_PREFIX", "täglich."),
    ("TOPIC_PARTITIONS", "513"),
    ("TOPIC_PARTITIONS", "-1"),
    ("WORKER_ID", "a/b"),
    ("SESSION_TIMEOUT_S", "0.9"),
    ("REBALANCE_TIMEOUT_S", "2"),
    ("COMMIT_INTERVAL_S", "0"),
    ("DATABASE_BUDGET_S", "0"),
    ("DATABASE_BUDGET_S", "nan"),
    ("DATABASE_BUDGET_S", "601"),
    ("BROKER_BUDGET_S", "-5"),
    ("BROKER_BUDGET_S", "inf"),
    ("STUCK_AFTER_S", "0"),
    ("STOP_GRACE_S", "601"),
    ("PROFILE", "fastest"),
    ("CHUNK_MAX_RECORDS", "0"),
    ("STUCK_AFTER_S", "3601"),
    ("FLUSH_RECORDS", "0"),
    ("FLUSH_RECORDS", "1e3"),
    ("POLICY_BARS_1M", '["polygon"'),
    ("POLICY_BARS_1D", "[1, 2]"),
    ("BREAKER_DEMOTE_THRESHOLD", "half"),
    ("FLUSH_MS", "10001"),
    ("QUEUE_CHUNKS", "0"),
    ("SNAPSHOT_S", "61"),
    ("LATENESS_MS", "-1"),
    ("HORIZON_S", "86401"),
    ("DLQ_MAX_RATIO", "1.5"),
    ("DLQ_MAX_CONSECUTIVE", "0"),
    ("WEB_PORT", "65536"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"),
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """No setting in the environment, no file in the folder."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_valid():
    settings = read_settings()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.web_host == "127.0.0.1"


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=[f"{n}={v[:12]}" for n, v in REFUSED])
def test_a_bad_value_is_told_by_its_field_and_shown(monkeypatch, name, value):
    monkeypatch.setenv(name, f"{value}")
    with pytest.raises(ConfigInvalid) as refused:
        read_settings()
    text = str(refused.value)
    assert text.startswith(f"{name}: ")
    assert text.endswith(f"(given: {value!r})")
    assert refused.value.exit_code == 3
    assert refused.value.__cause__ is None


def test_every_bad_value_is_told_at_once(monkeypatch):
    monkeypatch.setenv("WEB_PORT", "0")
    monkeypatch.setenv("PROFILE", "fastest")
    with pytest.raises(ConfigInvalid, match=r"(?s)(?=.*WEB_PORT: )(?=.*PROFILE: )"):
        read_settings()


def test_a_worker_may_not_outwait_the_rebalance(monkeypatch):
    monkeypatch.setenv("DATABASE_BUDGET_S", "60")
    with pytest.raises(ConfigInvalid, match="DATABASE_BUDGET_S must be below REBALANCE_TIMEOUT_S"):
        read_settings()
    monkeypatch.setenv("DATABASE_BUDGET_S", "59.9")
    assert read_settings().database_budget_s == 59.9


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_token(monkeypatch, host):
    monkeypatch.setenv("WEB_HOST", host)
    assert read_settings().web_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org", "localhost.example.org"])
def test_beyond_loopback_needs_a_token(monkeypatch, host):
    monkeypatch.setenv("WEB_HOST", host)
    with pytest.raises(ConfigInvalid, match=rf"WEB_HOST beyond loopback \({host}\) needs OPS_TOKEN"):
        read_settings()
    monkeypatch.setenv("OPS_TOKEN", "a-secret-of-some-length")
    assert read_settings().web_host == host


def test_environment_over_env_file_over_toml_over_default(monkeypatch, tmp_path):
    assert read_settings().web_port == 8000
    (tmp_path / "tapeflow.toml").write_text('web_port = 8001\nkafka_group = "from-toml"\n')
    assert read_settings().web_port == 8001
    (tmp_path / ".env").write_text("WEB_PORT=8002\n")
    assert (read_settings().web_port, read_settings().kafka_group) == (8002, "from-toml")
    monkeypatch.setenv("WEB_PORT", "8003")
    assert read_settings().web_port == 8003


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("WEB_PORT", "")
    assert read_settings().web_port == 8000


def test_lists_are_written_with_commas(monkeypatch, tmp_path):
    monkeypatch.setenv("PROVIDER_RANK", " polygon , kraken,, ")
    assert read_settings().provider_rank == ("polygon", "kraken")
    monkeypatch.delenv("PROVIDER_RANK")
    (tmp_path / "tapeflow.toml").write_text('provider_rank = ["alpaca", "kraken"]\n')
    assert read_settings().provider_rank == ("alpaca", "kraken")


def test_secrets_show_nowhere(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@127.0.0.1/db")
    monkeypatch.setenv("OPS_TOKEN", "hunter2-token")
    settings = read_settings()
    assert settings.database_url.get_secret_value().endswith("hunter2@127.0.0.1/db")
    shown = f"{settings} {settings!r} {settings.model_dump()} {json.dumps(settings.model_dump(mode='json'))}"
    assert "hunter2" not in shown
    monkeypatch.setenv("WEB_PORT", "0")
    with pytest.raises(ConfigInvalid) as refused:
        read_settings()
    assert "hunter2" not in str(refused.value)


def test_settings_do_not_change(monkeypatch):
    with pytest.raises(ValueError, match="frozen"):
        read_settings().web_port = 1  # type: ignore[misc]


def test_names_and_partitions_of_topics(monkeypatch):
    assert read_settings().topic(TRADES) == "md.trades.v1"
    assert read_settings().partitions(TRADES) == TRADES.partitions
    monkeypatch.setenv("TOPIC_PREFIX", "lab.")
    monkeypatch.setenv("TOPIC_PARTITIONS", "3")
    assert (read_settings().topic(TRADES), read_settings().partitions(TRADES)) == ("lab.md.trades.v1", 3)


def test_the_units_of_patience(monkeypatch):
    monkeypatch.setenv("LATENESS_MS", "1500")
    monkeypatch.setenv("HORIZON_S", "60")
    patience = read_settings().patience
    assert (patience.lateness_ns, patience.horizon_ns) == (1_500_000_000, 60_000_000_000)


def test_a_profile_sets_what_a_fetch_waits_for(monkeypatch):
    assert read_settings().fetch_max_wait_ms == 50
    monkeypatch.setenv("PROFILE", "low-latency")
    assert read_settings().fetch_max_wait_ms == 4


@pytest.mark.parametrize("servers", ["a:1", "a.example:9092,[::1]:9093", "10.0.0.1:9092,10.0.0.2:9092"])
def test_addresses_of_brokers(monkeypatch, servers):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    assert read_settings().kafka_bootstrap_servers == servers


def test_a_list_may_be_json(monkeypatch):
    monkeypatch.setenv("POLICY_BARS_1M", '["iex", "alpaca"]')
    assert read_settings().policy_bars_1m == ("iex", "alpaca")


def test_an_unknown_key_in_a_file_is_told_with_what_was_meant(tmp_path):
    (tmp_path / "tapeflow.toml").write_text(
        'polcy_bars_1m = ["iex"]\nWEB_PORT = 8001\n[kafka]\ngroup = "x"\n'
    )
    (tmp_path / ".env").write_text("BREAKER_DEMOTE=0.2\n")
    with pytest.raises(ConfigInvalid) as refused:
        read_settings()
    text = str(refused.value)
    assert "unknown key 'polcy_bars_1m' in tapeflow.toml (did you mean 'policy_bars_1m'?)" in text
    assert "unknown key 'WEB_PORT' in tapeflow.toml (did you mean 'web_port'?)" in text
    assert "unknown key 'kafka' in tapeflow.toml" in text
    assert "unknown key 'breaker_demote' in .env" in text


def test_what_compose_reads_may_be_in_the_env_file(tmp_path):
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\nCOMPOSE_PROFILES=observe\nKAFKA_PORT=1\n")
    assert read_settings().web_port == 8000


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tapeflow.toml", b"web_port = = 1", "tapeflow.toml is not TOML: "),
        ("tapeflow.toml", b"\xff", "tapeflow.toml cannot be read: "),
        (".env", b"WEB_PORT=\xff\n", ".env cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigInvalid) as refused:
        read_settings()
    assert str(refused.value).startswith(said)


def test_a_database_url_that_is_none_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres:/u:hunter2@h/db")
    with pytest.raises(ConfigInvalid, match=r"^DATABASE_URL: not a connection string of PostgreSQL$"):
        read_settings()
