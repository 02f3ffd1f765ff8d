"""docker-compose.yml, the image and the dashboard, as far as they can be checked without an engine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from ops.access import OPEN_PATHS
from sandbox.compose import FILE, SERVICES
from streams.settings import Settings
from telemetry.metrics import CATALOGUE, Spec

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
ALL: dict[str, dict[str, Any]] = COMPOSE["services"]
#: services that run tapeflow itself
OWN = [name for name, service in ALL.items() if "build" in service]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "tapeflow.json").read_text())
METRICS = {spec.name: spec for spec in CATALOGUE}
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
#: of the Prometheus client, which the worker's /metrics has too
PROCESS_METRICS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*")
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")
SECRETS = {"OPS_TOKEN", "POSTGRES_PASSWORD"}
SERVICE_KEYS = {
    "image", "build", "entrypoint", "command", "environment", "ports", "volumes", "secrets", "depends_on",
    "healthcheck", "profiles", "restart", "init", "read_only", "tmpfs", "cap_drop", "security_opt",
    "stop_grace_period",
}  # fmt: skip


def interpolated(value: object, environment: dict[str, str]) -> Any:
    """Put variables in as Compose does; a required one that is missing is a KeyError."""
    if isinstance(value, dict):
        return {key: interpolated(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, environment) for item in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        return environment.get(name) or (rest if kind == "-" else environment[name])

    return VARIABLE.sub(put, value)


@pytest.mark.parametrize("name", ALL)
def test_images_are_pinned(name: str):
    if name in OWN:
        assert ALL[name]["image"] == "tapeflow:local"
        return
    assert PINNED.fullmatch(ALL[name]["image"]), ALL[name]["image"]


@pytest.mark.parametrize("name", ALL)
def test_ports_are_published_on_loopback_alone(name: str):
    service = ALL[name]
    assert "network_mode" not in service
    for port in service.get("ports", []):
        address, published, _ = interpolated(port, {}).split(":")
        assert address == "127.0.0.1"
        assert published.isdigit(), "a port without a default"


def test_there_is_something_to_publish():
    published = [name for name, service in ALL.items() if service.get("ports")]
    assert published == ["kafka", "timescale", "worker", "prometheus", "grafana"]


@pytest.mark.parametrize("name", OWN)
def test_variables_of_our_services_are_settings_and_valid_ones(name: str, monkeypatch: pytest.MonkeyPatch):
    variables = interpolated(ALL[name]["environment"], dict.fromkeys(SECRETS, "abc123"))
    assert {variable.lower() for variable in variables} <= set(Settings.model_fields)
    for setting in Settings.model_fields:
        monkeypatch.delenv(setting.upper(), raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(ROOT / "deploy")  # away from a developer's .env
    settings = Settings()
    assert settings.kafka_bootstrap_servers == "kafka:29092"
    assert settings.database_url.get_secret_value().endswith("@timescale:5432/market")


def test_a_secret_is_required_and_never_has_a_default():
    found = VARIABLE.findall(FILE.read_text())
    assert SECRETS.issubset(name for name, *_ in found)
    for name, kind, rest in found:
        if name in SECRETS:
            assert kind == "?"
            assert name in rest, "the message says what to set"
        else:
            assert kind == "-"


def test_the_worker_that_listens_beyond_loopback_has_the_token_and_prometheus_sends_it():
    worker = ALL["worker"]["environment"]
    assert worker["WEB_HOST"] == "0.0.0.0"
    assert VARIABLE.findall(worker["OPS_TOKEN"])[0][0] == "OPS_TOKEN"
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert job["authorization"]["type"] == "Bearer"
    (secret,) = ALL["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret] == {"environment": "OPS_TOKEN"}
    (target,) = job["dns_sd_configs"]
    assert target["names"] == ["worker"]
    assert ALL["worker"]["ports"][0].endswith(f":{target['port']}")
    assert target["port"] == Settings.model_fields["web_port"].default


def test_listeners_of_kafka_lead_to_it_from_inside_and_outside():
    kafka = interpolated(ALL["kafka"]["environment"], {"KAFKA_PORT": "12345"})

    def listeners(name: str) -> dict[str, str]:
        return dict(item.split("://") for item in kafka[name].split(","))

    bound, told = listeners("KAFKA_LISTENERS"), listeners("KAFKA_ADVERTISED_LISTENERS")
    assert told == {"INSIDE": "kafka:29092", "OUTSIDE": "127.0.0.1:12345"}
    assert bound["INSIDE"].partition(":")[2] == told["INSIDE"].partition(":")[2]
    published = interpolated(ALL["kafka"]["ports"], {"KAFKA_PORT": "12345"})
    assert published == [f"127.0.0.1:12345:{bound['OUTSIDE'].partition(':')[2]}"]
    protocols = dict(item.split(":") for item in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert protocols.keys() == bound.keys()
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"].partition("@")[2] == bound["CONTROLLER"]
    for name in OWN:
        assert ALL[name]["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == told["INSIDE"]


def test_what_is_waited_for_has_a_healthcheck():
    # `tapeflow up` waits for these
    assert set(SERVICES) <= ALL.keys()
    for name, service in ALL.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in ALL
            if how["condition"] == "service_healthy":
                assert "test" in ALL[other]["healthcheck"], f"{name} waits for the health of {other}"
    for name in SERVICES:
        assert "test" in ALL[name]["healthcheck"]
        assert "profiles" not in ALL[name]


def test_data_is_in_volumes_and_mounted_files_exist():
    used = set()
    for service in ALL.values():
        for volume in service.get("volumes", []):
            source, _, _ = volume.partition(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                used.add(source)
    assert used == COMPOSE["volumes"].keys()


def test_only_observers_have_a_profile():
    assert {name for name, service in ALL.items() if "profiles" in service} == {"prometheus", "grafana"}


def test_the_worker_may_take_longer_to_stop_than_its_grace():
    seconds = float(ALL["worker"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["stop_grace_s"].default


def test_compose_would_read_the_file():
    # a key that Compose does not know makes it refuse the file
    for service in ALL.values():
        assert service.keys() <= SERVICE_KEYS
    assert COMPOSE.keys() == {"name", "services", "secrets", "volumes"}
    asked = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True)
    if asked and asked.returncode == 0:
        command = ["docker", "compose", "--file", str(FILE), "--profile", "observe", "config", "--quiet"]
        environment = {**os.environ, **dict.fromkeys(SECRETS, "abc123")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class TestImage:
    """deploy/Dockerfile."""

    def test_its_base_is_pinned_and_the_same_in_all_stages(self):
        bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
        assert len(bases) == 2
        assert len(set(bases)) == 1
        assert PINNED.fullmatch(bases[0])

    def test_everything_is_installed_from_locks(self):
        for line in re.findall(r"pip install (.*)", DOCKERFILE):
            assert "--require-hashes" in line or "--no-deps dist/" in line, line
        assert "requirements/runtime.lock" in DOCKERFILE

    def test_what_builds_the_wheel_is_named_whole(self):
        pattern = re.search(r"\^\(([a-z|-]+)\)==", DOCKERFILE)
        assert pattern is not None
        needed, todo = set(), ["hatchling"]
        while todo:
            name = todo.pop()
            needed.add(name)
            for text in importlib.metadata.requires(name) or []:
                requirement = Requirement(text)
                marker = requirement.marker
                if (marker is None or marker.evaluate({"extra": ""})) and requirement.name not in needed:
                    todo.append(requirement.name)
        assert set(pattern[1].split("|")) == needed

    def test_it_does_not_run_as_root(self):
        users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
        assert users == ["10001"]
        assert "root" not in users

    def test_its_health_is_a_path_that_needs_no_token(self):
        path = re.search(r"HEALTHCHECK.*?http://127\.0\.0\.1:(\d+)(/\w+)", DOCKERFILE, re.DOTALL)
        assert path is not None
        assert path[1] == str(Settings.model_fields["web_port"].default)
        assert path[2] in OPEN_PATHS
        # one that asks for the database would have the worker restarted during its outage
        assert path[2] == "/livez"

    def test_every_package_is_copied(self):
        ignored = (ROOT / ".dockerignore").read_text().split()
        pyproject = (ROOT / "pyproject.toml").read_text()
        packages = re.search(r"^packages = \[(.*?)\]", pyproject, re.MULTILINE | re.DOTALL)
        assert packages is not None
        assert "*" in ignored
        for package in re.findall(r'"(\w+)"', packages[1]):
            assert f"!{package}" in ignored


def metrics_in(expression: str) -> set[str]:
    """The metrics of ours that an expression asks for."""
    words = re.findall(r"\b(?:tapeflow|provider|circuit|bar)_\w+", expression)
    return {_of_histogram(word) for word in words}


def _of_histogram(name: str) -> str:
    whole = re.sub(r"_(bucket|sum|count)$", "", name)
    return whole if whole in METRICS and METRICS[whole].kind == "histogram" else name


class TestDashboard:
    """deploy/grafana."""

    def test_it_is_provisioned_where_it_is_mounted(self):
        folder = ROOT / "deploy" / "grafana" / "provisioning"
        (provider,) = yaml.safe_load((folder / "dashboards" / "tapeflow.yml").read_text())["providers"]
        mounted = dict(volume.split(":")[:2] for volume in ALL["grafana"]["volumes"])
        assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]
        (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
        assert source["url"] == "http://prometheus:9090"
        assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
        home = ALL["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        assert home == provider["options"]["path"] + "/tapeflow.json"

    @pytest.mark.parametrize("expression", EXPRESSIONS)
    def test_its_metrics_and_labels_exist(self, expression: str):
        names = metrics_in(expression) | set(re.findall(r"\bprocess_\w+", expression))
        assert names, "asks for nothing of ours"
        assert names <= METRICS.keys() | PROCESS_METRICS
        for name, label, value in re.findall(r'(\w+)\{(\w+)="(\w+)"\}', expression):
            if name not in PROCESS_METRICS:
                assert value in METRICS[name].labels[label]

    @pytest.mark.parametrize("expression", EXPRESSIONS)
    def test_counters_are_rated_and_gauges_are_not(self, expression: str):
        rated = set(re.findall(r"(?:rate|increase)\((\w+)", expression))
        for name in metrics_in(expression):
            spec: Spec = METRICS[name]
            assert (name in {_of_histogram(n) for n in rated}) == (spec.kind != "gauge"), name

    def test_legends_name_labels_of_the_metric(self):
        for panel in DASHBOARD["panels"]:
            for target in panel["targets"]:
                labels = {"instance", "job"}
                for name in metrics_in(target["expr"]):
                    labels |= METRICS[name].labels.keys()
                assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels

    def test_panels_do_not_overlap(self):
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
