"""Route policies: what a platform team prefers, in its own words, and the models it assigns.

A policy set is an ordered list of Domain-Action policies (Arch-Router paper, section 3). It is immutable;
its revision is a digest of its meaning, so two files that differ only in layout or comments share a revision.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, cast

from archrouter.domain.findings import Finding, error_at, quoted

NO_MATCH_ID = "other"
"""The answer reserved for "no policy fits"; Arch-Router was trained with this word (paper, section 4.2)."""

MAX_ROUTES = 512
MAX_ROUTE_ID_CHARACTERS = 64
MAX_DESCRIPTION_CHARACTERS = 2_000
MAX_EXAMPLES = 10
MAX_EXAMPLE_CHARACTERS = 500

MODELS_JOINT = " + "

StaleCause = Literal["policies", "model"]
"""What a promise about thresholds was made for and is so no longer."""

_POLICY_SET_ID = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """A model a route may be assigned to. Opaque to the router: it never calls it.

    Attributes:
        model: The caller's name of the model, e.g. ``provider/model``.
        parameters_json: Canonical JSON object, handed back to the caller unchanged.
    """

    model: str
    parameters_json: str = "{}"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """One Domain-Action policy.

    Attributes:
        id: The string the model must answer; unique in the set, NFC, 1-64 characters, never ``other``.
        domain: Subject area, e.g. ``programming``.
        action: Operation asked for, e.g. ``bug_fixing``; empty for a policy that covers the whole domain.
        description: When this route is meant, in the policy author's words; empty only where examples tell.
        models: Assigned models, best first; never empty.
        min_confidence: Own threshold in [0, 1]; None inherits the set's.
        examples: What users say when this route is meant, at most `MAX_EXAMPLES`.
        not_examples: What they say when it is not, although it may look so; as many.
    """

    id: str
    domain: str
    action: str
    description: str
    models: tuple[ModelTarget, ...]
    min_confidence: float | None = None
    examples: tuple[str, ...] = ()
    not_examples: tuple[str, ...] = ()

    @property
    def covers_domain(self) -> bool:
        """Whether this is a domain-level policy, which catches what no action of the domain fits."""
        return bool(self.domain) and not self.action


@dataclass(frozen=True, slots=True)
class ThresholdPromise:
    """What ``archrouter calibrate`` writes beside the thresholds it chose: the promise that they keep.

    Attributes:
        max_error: Share of wrong routes among those that are chosen, in (0, 1), at most.
        level: How surely, in (0, 1): the share of such promises that hold.
        case_count: Labelled turns behind it, >= 1.
        model_version: The model that decided them; of a cascade both, joined by `MODELS_JOINT`.
        revision: `PolicySet.promised_revision` of the set it was made for.
    """

    max_error: float
    level: float
    case_count: int
    model_version: str
    revision: str

    @property
    def model_versions(self) -> tuple[str, ...]:
        """Each of the models."""
        return tuple(self.model_version.split(MODELS_JOINT))


@dataclass(frozen=True)
class PolicySet:
    """A named, ordered collection of route policies.

    Attributes:
        id: Name of the set, ``[a-z0-9-]{1,64}``.
        description: What the set is for; people read it, the model does not.
        routes: At least one policy; the order is part of the prompt and breaks ties.
        fallback_models: Models for requests that no policy matches, best first; never empty.
        min_confidence: Threshold in [0, 1] for routes without their own; None leaves it to the server.
        promise: What the thresholds promise, where they were calibrated; no part of the meaning, nor of the revision.
    """

    id: str
    description: str
    routes: tuple[RoutePolicy, ...]
    fallback_models: tuple[ModelTarget, ...]
    min_confidence: float | None = None
    promise: ThresholdPromise | None = None
    _by_id: dict[str, RoutePolicy] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the routes, because decisions look them up by id."""
        object.__setattr__(self, "_by_id", {route.id: route for route in self.routes})

    def route(self, route_id: str) -> RoutePolicy | None:
        """Look up a route; None when the set has none of that id."""
        return self._by_id.get(route_id)

    @cached_property
    def revision(self) -> str:
        """SHA-256 over the canonical form, as ``sha256:<64 hex digits>``."""
        return _digest(_canonical(self))

    @cached_property
    def promised_revision(self) -> str:
        """The revision without models: a promise about routes outlives a change of what serves them."""
        canonical = _canonical(self)
        routes = [{**route, "models": []} for route in cast("list[dict[str, object]]", canonical["routes"])]
        return _digest({**canonical, "description": "", "fallback_models": [], "routes": routes})

    def stale_promise(self, model_version: str = "") -> StaleCause | None:
        """Say what has changed since the thresholds were calibrated; None where nothing has, or they never were.

        Args:
            model_version: The model that decides; empty while nobody knows it.
        """
        if self.promise is None:
            return None
        if self.promise.revision != self.promised_revision:
            return "policies"
        return "model" if model_version and model_version not in self.promise.model_versions else None


def derive_route_id(domain: str, action: str) -> str:
    """Name a route whose author gave no id: ``<domain>_<action>``, or the one of the two that is not empty."""
    return "_".join(part for part in (domain, action) if part)


def check_policy_set(policy_set: PolicySet) -> tuple[Finding, ...]:
    """Find every broken rule of a policy set, whatever its fields hold, in their order. O(total characters)."""
    return tuple(_set_findings(policy_set)) + tuple(
        finding for index, route in enumerate(policy_set.routes) for finding in _route_findings(index, route)
    )


def _set_findings(policy_set: PolicySet) -> Iterator[Finding]:
    if not _POLICY_SET_ID.fullmatch(policy_set.id):
        yield error_at(
            "policy_set", f"{quoted(policy_set.id)} is not a valid name; use 1-64 of the characters a-z, 0-9 and '-'"
        )
    if not policy_set.routes:
        yield error_at("routes", "the set has no route; write at least one policy")
    if len(policy_set.routes) > MAX_ROUTES:
        yield error_at("routes", f"{len(policy_set.routes)} routes exceed the limit of {MAX_ROUTES}; split the set")
    if not policy_set.fallback_models:
        yield error_at("fallback", "no fallback model; name at least one for requests that no policy matches")
    yield from _threshold_findings("min_confidence", policy_set.min_confidence)
    if policy_set.promise is not None:
        yield from _promise_findings(policy_set.promise)
    for model_index, target in enumerate(policy_set.fallback_models):
        yield from _target_findings(f"fallback[{model_index}]", target)
    counts = Counter(route.id for route in policy_set.routes)
    for index, route in enumerate(policy_set.routes):
        if counts[route.id] > 1:
            yield error_at(f"routes[{index}].id", f"{quoted(route.id)} names {counts[route.id]} routes; ids are unique")


def _route_findings(index: int, route: RoutePolicy) -> Iterator[Finding]:
    path = f"routes[{index}]"
    yield from _id_findings(f"{path}.id", route.id)
    if not route.description.strip() and not route.examples:
        remedy = "say when this route is meant, or give examples"
        yield error_at(f"{path}.description", f"is empty; the model reads it, so {remedy}")
    if len(route.description) > MAX_DESCRIPTION_CHARACTERS:
        yield error_at(
            f"{path}.description",
            f"has {len(route.description)} characters, more than {MAX_DESCRIPTION_CHARACTERS}; shorten it",
        )
    if not route.models:
        yield error_at(f"{path}.models", "names no model; assign at least one")
    for model_index, target in enumerate(route.models):
        yield from _target_findings(f"{path}.models[{model_index}]", target)
    yield from _threshold_findings(f"{path}.min_confidence", route.min_confidence)
    yield from _example_findings(f"{path}.examples", route.examples)
    yield from _example_findings(f"{path}.not_examples", route.not_examples)
    for example_index, text in enumerate(route.not_examples):
        if text in route.examples:
            problem = f"{quoted(text)} is an example of this route as well; keep it in one of the two lists"
            yield error_at(f"{path}.not_examples[{example_index}]", problem)


def _example_findings(field_path: str, texts: tuple[str, ...]) -> Iterator[Finding]:
    if len(texts) > MAX_EXAMPLES:
        yield error_at(field_path, f"has {len(texts)} texts, more than {MAX_EXAMPLES}; keep the most telling ones")
    for index, text in enumerate(texts[:MAX_EXAMPLES]):
        if not text.strip():
            yield error_at(f"{field_path}[{index}]", "is empty; write what a user says")
        elif len(text) > MAX_EXAMPLE_CHARACTERS:
            problem = f"has {len(text)} characters, more than {MAX_EXAMPLE_CHARACTERS}; shorten it"
            yield error_at(f"{field_path}[{index}]", problem)
        elif text in texts[:index]:
            yield error_at(f"{field_path}[{index}]", f"{quoted(text)} stands here twice; remove one")


def _id_findings(field_path: str, route_id: str) -> Iterator[Finding]:
    if not 1 <= len(route_id) <= MAX_ROUTE_ID_CHARACTERS:
        limits = f"use 1 to {MAX_ROUTE_ID_CHARACTERS}"
        yield error_at(field_path, f"{quoted(route_id)} has {len(route_id)} characters; {limits}")
    if route_id == NO_MATCH_ID:
        yield error_at(field_path, f"{NO_MATCH_ID!r} is reserved for requests no policy matches; choose another id")
    if not unicodedata.is_normalized("NFC", route_id):
        yield error_at(field_path, f"{quoted(route_id)} is not in Unicode NFC; normalise it")
    if route_id != route_id.strip() or not route_id.isprintable():
        yield error_at(field_path, f"{quoted(route_id)} has outer spaces or control characters; remove them")


def _promise_findings(promise: ThresholdPromise) -> Iterator[Finding]:
    for name, value in (("max_error", promise.max_error), ("level", promise.level)):
        if not 0.0 < value < 1.0:
            yield error_at(
                f"promise.{name}", f"{value} is outside (0, 1); run archrouter calibrate --write, which writes it"
            )
    if promise.case_count < 1:
        yield error_at(
            "promise.case_count", f"{promise.case_count} cases promise nothing; run archrouter calibrate --write"
        )


def _target_findings(field_path: str, target: ModelTarget) -> Iterator[Finding]:
    if not target.model.strip():
        yield error_at(f"{field_path}.model", "is empty; name the model the caller should use")


def _threshold_findings(field_path: str, threshold: float | None) -> Iterator[Finding]:
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        yield error_at(field_path, f"{threshold} is outside [0, 1]; confidence is a probability")


def _digest(canonical: dict[str, object]) -> str:
    text = json.dumps(canonical, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _canonical(policy_set: PolicySet) -> dict[str, object]:
    return {
        "id": policy_set.id,
        "description": policy_set.description,
        "min_confidence": policy_set.min_confidence,
        "fallback_models": [_canonical_target(target) for target in policy_set.fallback_models],
        "routes": [
            {
                "id": route.id,
                "domain": route.domain,
                "action": route.action,
                "description": route.description,
                "min_confidence": route.min_confidence,
                "models": [_canonical_target(target) for target in route.models],
                # Left out where there are none, so that sets without examples keep the revision they had before.
                **({"examples": route.examples} if route.examples else {}),
                **({"not_examples": route.not_examples} if route.not_examples else {}),
            }
            for route in policy_set.routes
        ],
    }


def _canonical_target(target: ModelTarget) -> dict[str, object]:
    return {"model": target.model, "parameters": json.loads(target.parameters_json)}
