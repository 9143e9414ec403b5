"""Which metrics exist, with their labels and the values a label can have: of the service, of Triton, of Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import promql_parser
from prometheus_client import CollectorRegistry

from archrouter.observability.metrics import (
    CREDENTIAL_SOURCES,
    DECILES,
    DECISION_LOG_RESULTS,
    GRPC_CODES,
    OUTCOMES,
    RELOAD_RESULTS,
    SHADOW_RESULTS,
    STAGES,
    TIERS,
    Metrics,
)
from archrouter.rpc.authentication.scopes import REQUIRED_SCOPES

Labels = Mapping[str, frozenset[str]]
"""Values by label; an empty set where they are not known beforehand."""

_ANY: frozenset[str] = frozenset()
_SERVICE_VALUES: Labels = {
    "grpc_code": frozenset(GRPC_CODES),
    "code": frozenset(GRPC_CODES),
    "outcome": frozenset(OUTCOMES),
    "stage": frozenset(STAGES),
    "source": frozenset(CREDENTIAL_SOURCES),
    "tier": frozenset(TIERS),
    "decile": frozenset(DECILES),
    "result": frozenset((*RELOAD_RESULTS, *DECISION_LOG_RESULTS, *SHADOW_RESULTS)),
    "rpc_method": frozenset(method.rpc_method for method in REQUIRED_SCOPES),
}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_MODEL: Labels = {"model": _ANY, "version": _ANY}

TRITON: Mapping[str, Labels] = {
    "nv_inference_request_success": _MODEL,
    "nv_inference_request_failure": {**_MODEL, "reason": frozenset({"REJECTED", "CANCELED", "BACKEND", "OTHER"})},
    "nv_inference_count": _MODEL,
    "nv_inference_exec_count": _MODEL,
    "nv_inference_pending_request_count": _MODEL,
    "nv_inference_request_duration_us": _MODEL,
    "nv_inference_queue_duration_us": _MODEL,
    "nv_inference_compute_input_duration_us": _MODEL,
    "nv_inference_compute_infer_duration_us": _MODEL,
    "nv_inference_compute_output_duration_us": _MODEL,
    "nv_trt_llm_request_metrics": {
        **_MODEL,
        "request_type": frozenset({"active", "max", "scheduled", "context", "waiting"}),
    },
    "nv_trt_llm_runtime_memory_metrics": {**_MODEL, "memory_type": frozenset({"cpu", "gpu", "pinned"})},
    "nv_trt_llm_kv_cache_block_metrics": {
        **_MODEL,
        "kv_cache_block_type": frozenset({"max", "free", "used", "tokens_per", "reused", "fraction"}),
    },
    "nv_trt_llm_inflight_batcher_metrics": {
        **_MODEL,
        "inflight_batcher_specific_metric": frozenset(
            {"total_context_tokens", "generation_requests", "micro_batch_id", "paused_requests"}
        ),
    },
    "nv_trt_llm_general_metrics": {**_MODEL, "general_type": frozenset({"timestamp", "iteration_counter"})},
    "nv_gpu_utilization": {"gpu_uuid": _ANY},
    "nv_gpu_memory_used_bytes": {"gpu_uuid": _ANY},
    "nv_gpu_memory_total_bytes": {"gpu_uuid": _ANY},
}
"""Triton's metrics with a TensorRT-LLM engine: server/docs/user_guide/metrics.md of triton-inference-server and
triton_backend/inflight_batcher_llm of NVIDIA/TensorRT-LLM 1.2."""

PROMETHEUS: Mapping[str, Labels] = {
    "up": {"job": _ANY, "instance": _ANY},
    "ALERTS": {"alertname": _ANY, "alertstate": frozenset({"pending", "firing"}), "severity": _ANY},
}


RECORDED: Mapping[str, Labels] = {
    "archrouter:decision_reference_decile:share1d": {
        "policy_set": _ANY,
        "tier": frozenset(TIERS),
        "decile": frozenset(DECILES),
    },
    "archrouter:decision_population_stability_index:1d": {"policy_set": _ANY, "tier": frozenset(TIERS)},
}
"""What the rules of deploy/prometheus record."""


@dataclass(slots=True)
class Query:
    """What a PromQL expression reads.

    Attributes:
        selectors: Each metric it names, with the values it asks of each label; a pattern counts as its alternatives.
        grouped_by: Labels of its ``by`` and ``without`` clauses.
    """

    selectors: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    grouped_by: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, expression: str) -> "Query":
        """Parse an expression; a malformed one raises ValueError."""
        query = cls()

        def visit(node: promql_parser.Expr) -> None:
            """Collect from one node of the tree."""
            selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
            if isinstance(selector, promql_parser.VectorSelector):
                matchers = {each.name: each.value.split("|") for each in selector.matchers.matchers}
                query.selectors.append((selector.name or "", matchers))
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
                query.grouped_by |= set(node.modifier.labels)

        promql_parser.walk(promql_parser.parse(expression), visit)
        return query

    def problems(self, known: Mapping[str, Labels]) -> list[str]:
        """Say what it reads that does not exist.

        Args:
            known: Labels of each metric.

        Returns:
            A line for each unknown metric, label, or value of a label.
        """
        found = [f"no metric {name}" for name, _ in self.selectors if name not in known]
        for name, matchers in self.selectors:
            labels = known.get(name, {})
            for label, values in matchers.items():
                if label not in labels:
                    found.append(f"{name} has no label {label}")
                elif labels[label]:
                    found += [f"{name} has no {label} {value}" for value in values if value not in labels[label]]
        readable = {label for name, _ in self.selectors for label in known.get(name, {})}
        return found + [f"grouped by {label}, which nothing here has" for label in sorted(self.grouped_by - readable)]


def service_metrics() -> dict[str, Labels]:
    """Return the samples that the service serves, from its own registry."""
    registry = CollectorRegistry()
    Metrics(registry, version="1")
    samples: dict[str, Labels] = {}
    for collector in registry._collector_to_names:
        labels = {name: _SERVICE_VALUES.get(name, _ANY) for name in collector._labelnames}  # type: ignore[attr-defined]
        for family in collector.describe():  # type: ignore[attr-defined]
            samples |= {family.name + suffix: labels for suffix in _SUFFIXES[family.type]}
            if family.type == "histogram":
                samples[f"{family.name}_bucket"] = {**labels, "le": _ANY}
    return samples


def known_metrics() -> dict[str, Labels]:
    """Return every metric that a rule or a panel can read here."""
    return {**service_metrics(), **TRITON, **PROMETHEUS, **RECORDED}
