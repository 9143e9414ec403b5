"""Prometheus metrics: every name, help text, bucket and label value in one place.

Label values come from the constants here, from the API's descriptors or from the loaded configuration, never from
requests, so the number of series is bounded.
"""

from collections.abc import Iterable, Mapping
from functools import cache

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""In seconds: from an answer out of a cache to the default deadline."""

TOKEN_BUCKETS = tuple(float(2**power) for power in range(4, 16))
"""In tokens: 16 to 32768, the context of the largest model served here (Qwen2.5-1.5B, max_position_embeddings)."""

CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

INLINE_POLICY_SET = "inline"
"""Label value that stands for every policy set that came with a request."""

OUTCOMES = ("matched", "domain_fallback", "no_match", "low_confidence")
STAGES = ("tokenize", "queue", "inference")
GRPC_CODES = tuple(code.name for code in grpc.StatusCode)
TIERS = ("engine", "compact")
DECILES = tuple(str(decile) for decile in range(1, 11))
RELOAD_RESULTS = ("success", "failure")
CREDENTIAL_SOURCES = ("tls", "callers", "jwks", "ticket_keys")
DECISION_LOG_RESULTS = ("written", "queue_full", "write_failed")
SHADOW_RESULTS = (
    *("agrees", "other_route", "other_model", "other_route_and_model"),
    *("late", "failed", "queue_full"),
)
"""What the shadow said of a decision, and why it said nothing."""

ENDPOINT_STATES = ("waiting", "ready", "draining")


class Metrics:
    """All metrics of one process. Made once per registry, because a registry refuses a name it has.

    What each call counts is public, so that counting costs no call of its own.
    """

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        """Register every metric."""
        self._start_rpc_metrics(registry)
        self._start_decision_metrics(registry)
        self._start_drift_metrics(registry)
        self._start_operation_metrics(registry)
        self._start_endpoint_metrics(registry)
        self._start_credential_metrics(registry)
        build_info = Gauge(
            "archrouter_build_info", "Always 1; what runs is in the labels.", ("version",), registry=registry
        )
        build_info.labels(version).set(1)
        # What each decision counts into. The library checks label values and takes a lock whenever it is asked for a
        # series; here each is looked up once, which holds as long as none is removed.
        counted: tuple[MetricWrapperBase, ...] = (
            *(self.rpc_requests, self.rpc_duration, self.backend_requests),
            *(self.decisions, self.confidence, self.stage_duration),
            *(self.top_probability, self.entropy, self.no_match_leads),
            *(self.reference_deciles, self.reference_no_match, self.reference_entropy),
        )
        for metric in counted:
            metric.labels = cache(metric.labels)  # type: ignore[method-assign]

    def _start_rpc_metrics(self, registry: CollectorRegistry) -> None:
        labels = ("rpc_service", "rpc_method")
        self.rpc_requests = Counter(
            "archrouter_rpc_requests_total",
            "Completed calls of the API by gRPC status code.",
            (*labels, "grpc_code"),
            registry=registry,
        )
        self.rpc_duration = Histogram(
            "archrouter_rpc_duration_seconds",
            "Time from a call's arrival to its status.",
            labels,
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self.rpc_in_flight = Gauge(
            "archrouter_rpc_in_flight_requests", "Calls of the API that are being answered.", registry=registry
        )
        self.admission_limit = Gauge(
            "archrouter_rpc_admission_limit_decisions",
            "Decisions that are let in at a time; what comes on top is refused.",
            registry=registry,
        )

    def _start_decision_metrics(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "archrouter_decisions_total", "Decisions by outcome.", ("policy_set", "outcome"), registry=registry
        )
        self.confidence = Histogram(
            "archrouter_decision_confidence_ratio",
            "Calibrated confidence of decisions; comparable within a policy set only.",
            ("policy_set",),
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self.stage_duration = Histogram(
            "archrouter_stage_duration_seconds",
            "Time a decision spent in one stage.",
            ("stage",),
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self.prompt_tokens = Histogram(
            "archrouter_prompt_tokens",
            "Tokens the model read for a decision.",
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )
        self.truncations = Counter(
            "archrouter_truncations_total", "Decisions on a conversation that was not read whole.", registry=registry
        )
        for stage in STAGES:
            self.stage_duration.labels(stage)

    def _start_drift_metrics(self, registry: CollectorRegistry) -> None:
        labels = ("policy_set", "tier")
        self.top_probability = Histogram(
            "archrouter_decision_top_probability_ratio",
            "Calibrated probability of the leading candidate, whether it was chosen or not.",
            labels,
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self.entropy = Histogram(
            "archrouter_decision_entropy_ratio",
            "Entropy of the calibrated posterior as a share of that of an even one: 0 is certain, 1 knows nothing.",
            labels,
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self.no_match_leads = Counter(
            "archrouter_decision_no_match_leads_total",
            "Decisions whose leading candidate was no match.",
            labels,
            registry=registry,
        )
        self.reference_deciles = Counter(
            "archrouter_decision_reference_decile_total",
            "Decisions by the tenth of the calibration's leading probabilities that theirs falls into.",
            (*labels, "decile"),
            registry=registry,
        )
        self.reference_no_match = Gauge(
            "archrouter_calibration_no_match_ratio",
            "Share of the calibration's conversations whose leading candidate was no match.",
            ("tier",),
            registry=registry,
        )
        self.reference_entropy = Gauge(
            "archrouter_calibration_entropy_ratio",
            "Mean entropy of the calibration's posteriors, as a share of that of an even one.",
            ("tier",),
            registry=registry,
        )

    def _start_operation_metrics(self, registry: CollectorRegistry) -> None:
        self.backend_requests = Counter(
            "archrouter_backend_requests_total",
            "Completed calls to the inference server by gRPC status code.",
            ("code",),
            registry=registry,
        )
        self._policy_reloads = Counter(
            "archrouter_policy_reloads_total",
            "Loads of the policy files; a failure is a load that failed or rejected at least one file.",
            ("result",),
            registry=registry,
        )
        self._last_reload_success = Gauge(
            "archrouter_policy_last_reload_success_timestamp_seconds",
            "Unix time of the latest load without a rejected file.",
            registry=registry,
        )
        self.thresholds_stale = Gauge(
            "archrouter_policy_thresholds_stale",
            "1 where the calibrated thresholds of a policy set are for another model or for earlier policies, else 0.",
            ("policy_set",),
            registry=registry,
        )
        self.shadow_decisions = Counter(
            "archrouter_shadow_decisions_total",
            "Decisions that were to be made again beside the calls, by how the second differs or why there is none.",
            ("policy_set", "result"),
            registry=registry,
        )
        self.decision_log_records = Counter(
            "archrouter_decision_log_records_total",
            "Decisions by what became of their line in the decision log.",
            ("result",),
            registry=registry,
        )
        for code in GRPC_CODES:
            self.backend_requests.labels(code)
        for result in DECISION_LOG_RESULTS:
            self.decision_log_records.labels(result)
        for result in RELOAD_RESULTS:
            self._policy_reloads.labels(result)

    def _start_endpoint_metrics(self, registry: CollectorRegistry) -> None:
        self._endpoint_reloads = Counter(
            "archrouter_endpoint_reloads_total",
            "Loads of the endpoints file after the start; after a failure the endpoints of before keep serving.",
            ("result",),
            registry=registry,
        )
        self._endpoints = Gauge("archrouter_endpoints", "Endpoints by state.", ("state",), registry=registry)
        self.tier_ready = Gauge(
            "archrouter_tier_ready",
            "1 while a model of the tier takes calls, 0 while all of them are lost or failed too many.",
            ("tier",),
            registry=registry,
        )
        for result in RELOAD_RESULTS:
            self._endpoint_reloads.labels(result)
        for state in ENDPOINT_STATES:
            self._endpoints.labels(state)

    def _start_credential_metrics(self, registry: CollectorRegistry) -> None:
        self._credential_reloads = Counter(
            "archrouter_credential_reloads_total",
            "Loads of certificates, callers and keys after the start; after a failure those of before stay.",
            ("source", "result"),
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "archrouter_tls_certificate_expiry_timestamp_seconds",
            "Unix time at which the listener's certificate expires; 0 without TLS.",
            registry=registry,
        )
        for source in CREDENTIAL_SOURCES:
            for result in RELOAD_RESULTS:
                self._credential_reloads.labels(source, result)

    def start_rpc_series(self, methods: Iterable[tuple[str, str]]) -> None:
        """Start the series of the API's methods, by service and name, at 0, so that a first error is an increase."""
        for rpc_service, rpc_method in methods:
            self.rpc_duration.labels(rpc_service, rpc_method)
            for code in GRPC_CODES:
                self.rpc_requests.labels(rpc_service, rpc_method, code)

    def start_policy_set_series(self, policy_set_ids: Iterable[str]) -> None:
        """Start the series of policy sets, by id, at 0; harmless for those that have started."""
        for policy_set_id in policy_set_ids:
            self.confidence.labels(policy_set_id)
            for tier in TIERS:
                self.no_match_leads.labels(policy_set_id, tier)
                for decile in DECILES:
                    self.reference_deciles.labels(policy_set_id, tier, decile)
            for outcome in OUTCOMES:
                self.decisions.labels(policy_set_id, outcome)

    def start_shadow_series(self, policy_set_ids: Iterable[str]) -> None:
        """Start the series of policy sets that are decided again, by id, at 0; harmless for those that have started."""
        for policy_set_id in policy_set_ids:
            for result in SHADOW_RESULTS:
                self.shadow_decisions.labels(policy_set_id, result)

    def count_policy_reload(self, *, is_success: bool, unix_time_s: float) -> None:
        """Count a load of the policy files; a success leaves no file without a usable policy set."""
        self._policy_reloads.labels("success" if is_success else "failure").inc()
        if is_success:
            self._last_reload_success.set(unix_time_s)

    def count_endpoint_reload(self, result: str) -> None:
        """Count a load of the endpoints file; the result is one of `RELOAD_RESULTS`."""
        self._endpoint_reloads.labels(result).inc()

    def count_credential_reload(self, source: str, result: str) -> None:
        """Count a load of one of `CREDENTIAL_SOURCES`; the result is one of `RELOAD_RESULTS`."""
        self._credential_reloads.labels(source, result).inc()

    def set_endpoint_states(self, counts: Mapping[str, int]) -> None:
        """Set how many endpoints are in each of `ENDPOINT_STATES`; one that is left out has none."""
        for state in ENDPOINT_STATES:
            self._endpoints.labels(state).set(counts.get(state, 0))
