"""Spans as people write them, and what `tapeflow config check --against` tells."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from domain.shadow import Difference
from ops.cli import tapeflow
from ops.shadow_check import ShadowCheck, _left_out, _policies
from ops.shadow_table import show_shadow
from ops.span import Span
from schemas.outcome import ProviderOutcome
from schemas.provider import PROVIDERS, ProviderName
from streams.setting_sources import detached

START = 1_763_650_800_000_000_000
SECOND = 1_000_000_000


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)])
def test_a_span_is_seconds(text, seconds):
    assert Span().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "15 m", "-1m", "1.5h", "0s", "32d", "15M", "99999999999s"])
def test_what_is_no_span_is_a_usage_error(text):
    with pytest.raises(click.BadParameter):
        Span().convert(text, None, None)


def outcome(provider: ProviderName) -> tuple[int, int, ProviderOutcome]:
    return 0, START, ProviderOutcome(provider=provider, id="1", ts=START, outcome="ok")


def settings(**values: Any):
    return detached(values)


class TestLeftOut:
    """A provider that nobody has a key of never comes first, whatever a policy says."""

    def test_who_has_neither_key_nor_outcome(self):
        keyed = settings(polygon_api_key="k", policy_bars_1d=("finnhub", "polygon"))
        assert _left_out([outcome("iex")], settings(), keyed) == ("finnhub", "alpaca")

    def test_nobody_where_no_key_is_known(self):
        assert _left_out([], settings(), settings()) == ()

    def test_they_are_in_no_policy(self):
        policies = _policies(settings(), ("alpaca", "iex"))
        assert set(policies) == {"bars_1m", "bars_1d", "quotes_l1"}
        assert policies["bars_1m"] == ["polygon", "finnhub"]
        assert policies["quotes_l1"] == ["polygon", "finnhub"]


def check(**changes: Any) -> ShadowCheck:
    difference = Difference(
        START + 60 * SECOND,
        START + 95 * SECOND,
        "bars_1m",
        "alpaca",
        None,
        "alpaca would be open since 15:01:00Z: 2 failures in a row",
    )
    values: dict[str, Any] = {
        "in_force": "17-3fa4c1d2e5b6",
        "changed": ("breaker_trip_failures",),
        "since_ns": START,
        "until_ns": START + 900 * SECOND,
        "outcomes": 1_234,
        "left_out": (),
        "differences": (difference,),
    }
    return ShadowCheck(**(values | changes))


class TestTold:
    def test_a_table_of_what_would_have_differed(self, capsys):
        show_shadow(check(left_out=("iex",)))
        out, err = capsys.readouterr()
        header, row = out.splitlines()
        assert header.split("  ")[0] == "from"
        at = {name: header.index(name) for name in ("to", "kind", "first now", "first then", "why")}
        assert row[: at["to"]].strip() == "2025-11-20 15:01:00Z"
        assert row[at["to"] : at["kind"]].strip() == "2025-11-20 15:01:35Z"
        assert row[at["kind"] : at["first now"]].strip() == "bars_1m"
        assert row[at["first now"] : at["first then"]].strip() == "alpaca"
        assert row[at["first then"] : at["why"]].strip() == "nobody"
        assert row[at["why"] :] == "alpaca would be open since 15:01:00Z: 2 failures in a row"
        assert err.splitlines() == [
            "compared with version 17-3fa4c1d2e5b6; different: BREAKER_TRIP_FAILURES",
            "no key here and never asked, so left out: iex",
            "2025-11-20 15:00:00Z to 2025-11-20 15:15:00Z, 1,234 outcomes: 1 differences",
        ]

    def test_that_there_is_nothing_to_compare(self, capsys):
        show_shadow(check(outcomes=0, differences=(), changed=(), in_force=""))
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines() == [
            "compared with the files here: no reload so far; no live setting differs",
            "no outcomes since 2025-11-20 15:00:00Z: nobody was asked, so nothing can be compared",
        ]

    def test_that_nothing_would_have_differed(self, capsys):
        show_shadow(check(differences=()))
        out, err = capsys.readouterr()
        assert out == ""
        assert err.endswith("1,234 outcomes: every decision would have been the same\n")

    def test_the_same_as_json(self):
        said = json.loads(json.dumps(check().as_json()))
        assert said["in_force"] == "17-3fa4c1d2e5b6"
        assert said["differences"] == [
            {
                "from_ns": START + 60 * SECOND,
                "to_ns": START + 95 * SECOND,
                "kind": "bars_1m",
                "now_first": "alpaca",
                "new_first": None,
                "why": "alpaca would be open since 15:01:00Z: 2 failures in a row",
            }
        ]
        assert check(in_force="").as_json()["in_force"] is None


def test_a_check_without_it_asks_no_broker(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert CliRunner().invoke(tapeflow, ["config", "check"]).exit_code == 0


def test_a_candidate_that_is_wrong_is_refused_before_any_broker_is_asked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    (tmp_path / "tapeflow.toml").write_text("breaker_demote_threshold = 2.0\n")
    done = CliRunner().invoke(tapeflow, ["config", "check", "--against", "15m", "--json"])
    assert json.loads(done.stdout)["ok"] is False
    assert "BREAKER_DEMOTE_THRESHOLD" in str(done.exception)


def test_every_provider_can_be_left_out():
    everybody = dict.fromkeys(PROVIDERS, ())
    policies = _policies(settings(), tuple(everybody))
    assert all(policy == [] for policy in policies.values())
