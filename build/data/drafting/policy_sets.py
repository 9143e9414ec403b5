"""Policy sets: made from domains, read from a team's own file, and shown to the models."""

from collections.abc import Sequence
from pathlib import Path

from archrouter.domain.findings import Severity
from archrouter.domain.policy import NO_MATCH_ID, PolicySet, RoutePolicy
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL
from archrouter.policy_files.directory import read_policy_file
from data.drafting.errors import SetupError


def read_policy_set(path: Path) -> PolicySet:
    """Read a team's policy file, as strictly as the service does.

    Raises:
        SetupError: When it has an error; the text is that of every error, each with its place.
    """
    document = read_policy_file(path)
    if document.content is None:
        errors = (finding for finding in document.findings if finding.severity is Severity.ERROR)
        msg = "\n".join(f"{path}:{error.line}:{error.column}: {error.field_path}: {error.message}" for error in errors)
        raise SetupError(msg)
    return document.content


def make_policy_set(name: str, domains: Sequence[Sequence[RoutePolicy]]) -> PolicySet:
    """Join the policies of a few domains, in that order."""
    routes = tuple(route for domain in domains for route in domain)
    return PolicySet(name, f"{len(domains)} domains", routes, (PLACEHOLDER_MODEL,))


def shown_routes(policy_set: PolicySet, routes: Sequence[RoutePolicy] = ()) -> list[dict[str, str]]:
    """Write routes as the models read them, in another order if one is given."""
    return [{"name": route.id, "description": route.description} for route in routes or policy_set.routes]


def route_names(policy_set: PolicySet) -> frozenset[str]:
    """Name everything a user message can be labelled with: the set's routes, and the answer for none of them."""
    return frozenset({NO_MATCH_ID, *(route.id for route in policy_set.routes)})
