"""What `archrouter doctor` finds out by calling the API."""

import contextlib
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import grpc
from grpc import aio

from archrouter import v1
from archrouter.cli.diagnosis import Diagnosis, Level
from archrouter.client import ClientOptions, RoutingError
from archrouter.client.errors import rpc_errors_translated
from archrouter.version import VERSION

SAMPLE_TEXT = "Hello, what can you do?"
SAMPLES_PER_SET = 3
MAX_SAMPLED_SETS = 32

SLOW_DECISION_S = 0.25
"""As the alert ArchRouterSlow: it is felt before every answer of the model that is chosen."""

MAX_CLOCK_SKEW_S = 2.0
"""Tokens and tickets expire by clocks, and logs of several machines are put in order by them."""


class Caller:
    """Calls the API as anybody would."""

    def __init__(self, channel: aio.Channel, options: ClientOptions) -> None:
        """Call over a channel that the caller closes."""
        self._routing: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(channel)
        self._policies: v1.PolicyServiceAsyncStub = v1.PolicyServiceStub(channel)
        self._options = options
        self._metadata = options.metadata

    async def look(self) -> AsyncIterator[Diagnosis]:
        """Ask for what every caller may ask for."""
        try:
            with rpc_errors_translated():
                info = await self._routing.GetServerInfo(
                    v1.GetServerInfoRequest(), timeout=self._options.timeout_s, metadata=self._metadata
                )
        except RoutingError as error:
            yield _refused("server", error)
            return
        for found in (*_versions(info), *_deadlines(info, self._options.timeout_s)):
            yield found
        async for found in self._policy_sets(info):
            yield found

    async def _policy_sets(self, info: v1.GetServerInfoResponse) -> AsyncIterator[Diagnosis]:
        names = [info.default_policy_set] if info.default_policy_set else []
        if not names:
            remedy = "Requests must name a set, or set policies.default."
            yield Diagnosis("policy sets", Level.NOTE, "there is no default policy set", remedy)
        try:
            with rpc_errors_translated():
                listed = await self._policies.ListPolicySets(
                    v1.ListPolicySetsRequest(), timeout=self._options.timeout_s, metadata=self._metadata
                )
            names = sorted({*names, *(each.name for each in listed.policy_sets)})[:MAX_SAMPLED_SETS]
        except RoutingError as error:
            yield Diagnosis("policy sets", Level.NOTE, f"they cannot be listed: {error.code.name}: {error.message}")
        for name in names:
            async for found in self._samples(name):
                yield found

    async def _samples(self, policy_set: str) -> AsyncIterator[Diagnosis]:
        request = v1.SelectRouteRequest(
            messages=[v1.Message(role=v1.Role.ROLE_USER, content=SAMPLE_TEXT)], policy_set=policy_set
        )
        durations_s, skews_s, decision = [], [], v1.Decision()
        for _ in range(SAMPLES_PER_SET):
            started_s, started_unix_s = time.perf_counter(), time.time()
            try:
                with rpc_errors_translated():
                    answer = await self._routing.SelectRoute(
                        request, timeout=self._options.timeout_s, metadata=self._metadata
                    )
            except RoutingError as error:
                yield _refused(policy_set, error)
                return
            durations_s.append(time.perf_counter() - started_s)
            decision = answer.decision
            skews_s.append(_decided_unix_s(decision) - started_unix_s - durations_s[-1] / 2)
        for found in (*_decided(policy_set, decision, durations_s), *_clock(skews_s)):
            yield found


def _refused(subject: str, error: RoutingError) -> Diagnosis:
    remedies = {
        grpc.StatusCode.UNAUTHENTICATED: "Send a credential that the service knows: --token-file FILE.",
        grpc.StatusCode.PERMISSION_DENIED: "The credential lacks a scope; the service's file of callers grants it.",
        grpc.StatusCode.UNAVAILABLE: "The model does not answer: is Triton running and ready? See both logs.",
        grpc.StatusCode.DEADLINE_EXCEEDED: "Give it more time (--timeout), or see on its dashboard why it is slow.",
        grpc.StatusCode.RESOURCE_EXHAUSTED: "It is overloaded: add a replica, or raise server.max_concurrent_calls.",
    }
    remedy = remedies.get(error.code, f"Look up decision {error.decision_id} in the log of the service.")
    return Diagnosis(subject, Level.ERROR, f"{error.reason or error.code.name}: {error.message}", remedy)


def _versions(info: v1.GetServerInfoResponse) -> Iterator[Diagnosis]:
    tier = v1.Tier.Name(info.tier).removeprefix("TIER_").lower()
    yield Diagnosis("server", Level.OK, f"version {info.version}, tier {tier}, model {info.model_version[:19]}…")
    ours, theirs = VERSION.split(".")[:2], info.version.split(".")[:2]
    if ours != theirs:
        remedy = "Both speak archrouter.v1; fields that one does not know are missing. Bring them to one release."
        yield Diagnosis("version", Level.WARNING, f"this client is {VERSION}, the server {info.version}", remedy)


def _deadlines(info: v1.GetServerInfoResponse, timeout_s: float) -> Iterator[Diagnosis]:
    max_budget_s = info.max_budget.ToTimedelta().total_seconds()
    min_budget_s = info.min_budget.ToTimedelta().total_seconds()
    if timeout_s < min_budget_s:
        remedy = "Give calls more time, or lower routing.min_budget_s."
        seen = f"a deadline of {timeout_s:g} s is refused at once: the server wants {min_budget_s:g} s"
        yield Diagnosis("deadline", Level.ERROR, seen, remedy)
    elif 0 < max_budget_s < timeout_s:
        seen = f"of a deadline of {timeout_s:g} s the server uses {max_budget_s:g} s (routing.max_budget_s)"
        yield Diagnosis("deadline", Level.NOTE, seen)


def _decided(policy_set: str, decision: v1.Decision, durations_s: list[float]) -> Iterator[Diagnosis]:
    median_s = statistics.median(durations_s)
    outcome = v1.Outcome.Name(decision.outcome).removeprefix("OUTCOME_").lower()
    seen = f"decides in {1000 * median_s:.0f} ms (median of {len(durations_s)}); a greeting is {outcome}"
    if median_s > SLOW_DECISION_S:
        remedy = "The dashboard's stages say where the time goes; is the network far, or Triton busy?"
        yield Diagnosis(policy_set, Level.WARNING, seen, remedy)
    else:
        yield Diagnosis(policy_set, Level.OK, seen)
    remedies = {
        v1.WarningCode.WARNING_CODE_POLICY_SET_STALE: "Its file is broken since: run archrouter check on it.",
        v1.WarningCode.WARNING_CODE_CONFIDENCE_UNCALIBRATED: "Calibrate it (docs/calibration.md) or set no threshold.",
        v1.WarningCode.WARNING_CODE_ENGINE_UNAVAILABLE_COMPACT_USED: "The engine is away: see the log of its Triton.",
    }
    for warning in decision.warnings:
        if warning.code in remedies:
            yield Diagnosis(policy_set, Level.WARNING, warning.message, remedies[warning.code])


def _decided_unix_s(decision: v1.Decision) -> float:
    """Read the server's clock off the decision's id, a UUIDv7 whose first 48 bits are milliseconds."""
    with contextlib.suppress(ValueError):
        return (uuid.UUID(decision.decision_id).int >> 80) / 1000
    return time.time()


def _clock(skews_s: list[float]) -> Iterator[Diagnosis]:
    skew_s = statistics.median(skews_s)
    if abs(skew_s) > MAX_CLOCK_SKEW_S:
        side = "ahead of" if skew_s > 0 else "behind"
        seen = f"the server's clock is {abs(skew_s):.1f} s {side} this machine's"
        remedy = "Keep both in time (NTP): tokens and tickets expire by clocks, and logs are put in order by them."
        yield Diagnosis("clock", Level.WARNING, seen, remedy)
