"""What an operator's settings are refused for: each reason names the key and the value."""

from __future__ import annotations

import os
from typing import Any

import pytest

from streams import settings
from streams.settings import Settings, get_settings, hot_reload, read_settings, validate_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """No setting in the environment, no file in the folder."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "_PROCESS", settings._Process())


def reason(**values: Any) -> str:
    ok, why = validate_settings(Settings(**values))
    assert ok == (why == "")
    return why


@pytest.mark.parametrize("key", ["POLICY_BARS_1M", "POLICY_BARS_1D", "POLICY_QUOTES_L1"])
def test_policy_validation_rejects_unknown_provider(key):
    assert f"unknown provider 'foo' in {key}" in reason(**{key.lower(): "polygon,foo"})


@pytest.mark.parametrize(("demote", "promote"), [(0.8, 0.7), (0.7, 0.7)])
def test_breaker_thresholds_invalid_order(demote, promote):
    why = reason(breaker_demote_threshold=demote, breaker_promote_threshold=promote)
    assert f"invalid breaker thresholds: demote={demote}, promote={promote}" in why


@pytest.mark.parametrize(("demote", "promote"), [(-0.1, 0.7), (0.5, 1.1), (2, 3)])
def test_breaker_thresholds_out_of_range(demote, promote):
    why = reason(breaker_demote_threshold=demote, breaker_promote_threshold=promote)
    assert f"invalid breaker thresholds: demote={demote}, promote={promote}" in why


def test_valid_config_accepts():
    assert validate_settings(Settings()) == (True, "")
    assert validate_settings(get_settings()) == (True, "")
    edge = Settings(
        policy_bars_1m="iex",
        policy_bars_1d='["finnhub", "polygon"]',
        breaker_demote_threshold=0,
        breaker_promote_threshold=1,
        recent_latency_cap_ms=0.5,
    )
    assert validate_settings(edge) == (True, "")
    assert edge.policy_bars_1d == ("finnhub", "polygon")


@pytest.mark.parametrize("key", ["POLICY_BARS_1M", "POLICY_BARS_1D", "POLICY_QUOTES_L1"])
@pytest.mark.parametrize("empty", ["", " , ", "[]"])
def test_empty_policy_rejected(key, empty):
    assert f"empty policy: {key}" in reason(**{key.lower(): empty})


def test_duplicate_providers_in_policy():
    why = reason(policy_quotes_l1="alpaca,polygon,alpaca")
    assert why == "duplicate provider 'alpaca' in POLICY_QUOTES_L1"


@pytest.mark.parametrize("cap", [0, -5])
def test_latency_cap_must_be_positive(cap):
    assert f"invalid RECENT_LATENCY_CAP_MS: {cap}" in reason(recent_latency_cap_ms=cap)


def test_a_reload_changes_everything_or_nothing(tmp_path):
    assert hot_reload()["ok"]
    before = get_settings()
    file = tmp_path / "tapeflow.toml"
    file.write_text('policy_bars_1m = ["iex"]\nbreaker_demote_threshold = 0.9\n')
    refused = hot_reload()
    assert not refused["ok"]
    assert "invalid breaker thresholds: demote=0.9, promote=0.7" in str(refused["error"])
    assert get_settings() is before
    file.write_text('policy_bars_1m = ["iex"]\nbreaker_demote_threshold = 0.6\n')
    accepted = hot_reload()
    assert accepted["ok"]
    assert accepted["error"] is None
    assert accepted["policy_version"] != refused["policy_version"]
    assert (get_settings().policy_bars_1m, get_settings().breaker_demote_threshold) == (("iex",), 0.6)
    assert read_settings() == get_settings()
    file.unlink()
    assert hot_reload()["policy_version"] == refused["policy_version"]
