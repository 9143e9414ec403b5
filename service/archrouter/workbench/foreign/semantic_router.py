"""Route files of aurelio semantic-router, YAML or JSON.

Shapes: aurelio-labs/semantic-router, docs/examples/router.json (a list), tests/unit/test_router.py (``encoder_name``,
``encoder_type`` and ``routes``) and semantic_router/route.py (the members of a route).
"""

from archrouter.workbench.foreign.facts import Facts, ForeignError, ForeignRoute, ForeignSet, Kind, number_note

LOOKED_FOR = "'routes' with 'name' and 'utterances' (semantic-router)"

_SCHEMA = "functions are no models; policies choose models"
_ROUTE_REASONS = {
    "function_schema": _SCHEMA,
    "function_schemas": _SCHEMA,
    "openai_function_schema": _SCHEMA,
    "llm": "names Python classes that fill in a function's arguments; they are not loaded",
    "metadata": "the service hands back models and their parameters only (the value is not shown)",
}
_TOP_REASONS = {
    "encoder_name": "the service has a model of its own",
    "encoder_type": "the service has a model of its own",
}
_SIMILARITY = "is a similarity of the encoder, another scale than min_confidence"


def matches(facts: Facts) -> bool:
    """Say whether a configuration has the keys of this format."""
    routes = facts.values.get("routes")
    return isinstance(routes, list) and any(isinstance(route, dict) and "utterances" in route for route in routes)


def read(facts: Facts) -> ForeignSet:
    """Read the routes; they name no models."""
    return ForeignSet(tuple(read_routes(facts)))


def read_routes(facts: Facts) -> list[ForeignRoute]:
    """Read what this format and that of LiteLLM's auto router, which is made of it, have in common."""
    routes = [_route(route) for route in facts.tables("routes")]
    if not routes:
        msg = "'routes' is missing or empty; there is no route to import"
        raise ForeignError(msg)
    facts.close(_TOP_REASONS)
    return routes


def _route(route: Facts) -> ForeignRoute:
    name = route.needed("name", "name the route")
    threshold = route.take("score_threshold")
    if threshold is not None:
        route.note(Kind.LEFT_OUT, "score_threshold", number_note(threshold, _SIMILARITY))
    found = ForeignRoute(route.path, name, route.text("description"), (), route.texts("utterances"))
    route.close(_ROUTE_REASONS)
    return found
