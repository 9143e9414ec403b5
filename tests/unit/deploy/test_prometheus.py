"""What Prometheus scrapes, and its alert rules; their behaviour is tested by promtool (.ci/promtool)."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.deployment import Dockerfile, Document, mounts, read_yaml
from tests.support.known_metrics import RECORDED, Query, known_metrics


@pytest.fixture
def alerts(deploy: Path) -> list[Document]:
    """Return every alert rule."""
    groups = read_yaml(deploy / "prometheus" / "alerts.yaml")["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture
def jobs(deploy: Path) -> dict[str, list[str]]:
    """Return the targets of each job."""
    scraped = read_yaml(deploy / "prometheus" / "prometheus.yaml")["scrape_configs"]
    return {job["job_name"]: [t for config in job["static_configs"] for t in config["targets"]] for job in scraped}


def test_the_targets_are_the_metrics_ports_of_the_containers(
    jobs: dict[str, list[str]], gpu_host: Document, service_image: Dockerfile, triton_image: Dockerfile
) -> None:
    """Service and Triton are scraped by their names in a network that Prometheus is in, on ports that they open."""
    metrics_port = service_image.environment("service")["ARCHROUTER_METRICS_LISTEN"].rpartition(":")[2]

    assert [f"archrouter:{metrics_port}"] == jobs["archrouter"]
    assert ["triton:8002"] == jobs["triton"]
    assert 8002 in triton_image.ports("final")
    networks = {
        name: set(service["networks"]) for name, service in gpu_host["services"].items() if "networks" in service
    }
    assert networks["prometheus"] & networks["archrouter"]
    assert networks["prometheus"] & networks["triton"]


def test_prometheus_starts_with_the_mounted_configuration(deploy: Path, gpu_host: Document) -> None:
    """The flag names a file of the mounted folder, and the rule file is beside it."""
    prometheus = gpu_host["services"]["prometheus"]
    ((folder, target),) = [(s, t) for t, s in mounts(prometheus).items() if s.startswith(".")]

    assert f"--config.file={target}/prometheus.yaml" in prometheus["command"]
    (rule_file,) = read_yaml(deploy / "prometheus" / "prometheus.yaml")["rule_files"]
    assert (deploy / folder / rule_file).is_file()


def test_every_rule_reads_what_exists(deploy: Path, jobs: dict[str, list[str]]) -> None:
    """Metric, label and value of each expression are ones the service, Triton, Prometheus or a rule has."""
    groups = read_yaml(deploy / "prometheus" / "alerts.yaml")["groups"]
    rules: list[Document] = [rule for group in groups for rule in group["rules"]]
    known = known_metrics()
    known["up"] = {**known["up"], "job": frozenset(jobs)}

    assert RECORDED.keys() == {rule["record"] for rule in rules if "record" in rule}
    problems = {rule.get("alert", rule.get("record")): Query.parse(rule["expr"]).problems(known) for rule in rules}

    assert {} == {name: found for name, found in problems.items() if found}


def test_every_alert_says_how_bad_it_is_and_what_to_do(alerts: list[Document]) -> None:
    """Names are unique; severity, summary and action are there."""
    names = [rule["alert"] for rule in alerts]

    assert sorted(set(names)) == sorted(names)
    assert {"critical", "warning"} == {rule["labels"]["severity"] for rule in alerts}
    assert [] == [rule["alert"] for rule in alerts if {"summary", "action"} != rule["annotations"].keys()]


def test_every_alert_has_a_firing_and_a_silent_case(deploy: Path, alerts: list[Document]) -> None:
    """Promtool proves of each alert that it fires when it should and not when it should not."""
    tests = read_yaml(deploy / "prometheus" / "alerts_test.yaml")["tests"]
    cases: list[dict[str, Any]] = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in alerts}

    assert names == {case["alertname"] for case in cases if case.get("exp_alerts")}
    assert names == {case["alertname"] for case in cases if not case.get("exp_alerts")}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(archrouter_rpc_requests)", "no metric archrouter_rpc_requests"),
        ('archrouter_decisions_total{outcom="matched"}', "archrouter_decisions_total has no label outcom"),
        ('archrouter_decisions_total{outcome=~"matched|none"}', "archrouter_decisions_total has no outcome none"),
        ("sum by (stge) (rate(archrouter_decisions_total[5m]))", "grouped by stge, which nothing here has"),
    ],
)
def test_a_typo_in_an_expression_is_found(expression: str, problem: str) -> None:
    """The check of the rules and panels sees each kind of mistake."""
    assert [problem] == Query.parse(expression).problems(known_metrics())
