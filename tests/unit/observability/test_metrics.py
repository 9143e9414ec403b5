"""The metrics as Prometheus scrapes them."""

from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from archrouter.domain.decision import Outcome
from archrouter.observability import metrics
from archrouter.observability.metrics import Metrics

GOLDEN = Path(__file__).parent / "metrics.golden.txt"


def exposition(registry: CollectorRegistry) -> str:
    """Render what a scrape gets, without the times at which the series were made."""
    lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if "_created" not in line)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Make a registry of one test."""
    return CollectorRegistry()


def test_exposition_is_the_documented_one(registry: CollectorRegistry) -> None:
    """Names, help texts, buckets and label values are a contract with dashboards and alerts."""
    recorded = Metrics(registry, version="1.2.3")
    recorded.start_rpc_series([("archrouter.v1.RoutingService", "SelectRoute")])
    recorded.start_policy_set_series(["support"])
    recorded.rpc_in_flight.inc()
    recorded.admission_limit.set(8)
    recorded.rpc_requests.labels("archrouter.v1.RoutingService", "SelectRoute", "OK").inc()
    recorded.rpc_duration.labels("archrouter.v1.RoutingService", "SelectRoute").observe(0.003)
    recorded.decisions.labels("support", "matched").inc()
    recorded.confidence.labels("support").observe(0.93)
    recorded.prompt_tokens.observe(300)
    recorded.truncations.inc()
    recorded.stage_duration.labels("tokenize").observe(0.0004)
    recorded.stage_duration.labels("inference").observe(0.002)
    recorded.backend_requests.labels("OK").inc()
    recorded.decision_log_records.labels("written").inc()
    recorded.count_policy_reload(is_success=True, unix_time_s=1_700_000_000.0)
    recorded.count_endpoint_reload("failure")
    recorded.set_endpoint_states({"ready": 2, "draining": 1})
    recorded.count_credential_reload("tls", "success")
    recorded.certificate_expiry.set(1_800_000_000)
    recorded.tier_ready.labels("engine").set(1)
    recorded.start_shadow_series(["support"])
    recorded.shadow_decisions.labels("support", "other_route").inc()
    recorded.thresholds_stale.labels("support").set(1)

    assert GOLDEN.read_text() == exposition(registry)


def test_failed_reload_keeps_the_time_of_the_last_success(registry: CollectorRegistry) -> None:
    """A load with a rejected file counts as a failure and does not move the time of the last success."""
    recorded = Metrics(registry, version="1.2.3")
    recorded.count_policy_reload(is_success=True, unix_time_s=100.0)

    recorded.count_policy_reload(is_success=False, unix_time_s=200.0)

    assert 1 == registry.get_sample_value("archrouter_policy_reloads_total", {"result": "failure"})
    assert 100 == registry.get_sample_value("archrouter_policy_last_reload_success_timestamp_seconds")


def test_each_registry_has_metrics_of_its_own(registry: CollectorRegistry) -> None:
    """Two services in one process do not count into each other."""
    Metrics(registry, version="1.2.3").rpc_in_flight.inc()
    other = CollectorRegistry()

    Metrics(other, version="1.2.3")

    assert 0 == other.get_sample_value("archrouter_rpc_in_flight_requests")


def test_label_constants_are_those_of_the_domain() -> None:
    """The outcomes that are started at 0 are the outcomes that are counted."""
    assert tuple(outcome.value for outcome in Outcome) == metrics.OUTCOMES
    assert {code.name for code in grpc.StatusCode} == set(metrics.GRPC_CODES)


def test_help_texts_are_sentences(registry: CollectorRegistry) -> None:
    """Each metric says what it counts, in a sentence."""
    Metrics(registry, version="1.2.3")

    assert all(family.documentation.endswith(".") for family in registry.collect())
