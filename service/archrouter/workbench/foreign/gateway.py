"""Configurations of the reference gateway, archgw and later Plano.

Until v0.3 the preferences stand under the provider that serves them (``llm_providers``, later ``model_providers``);
since v0.4 they are a list of their own that names models. Shapes: katanemo/archgw, config/plano_config_schema.yaml
and docs/source/resources/includes/.
"""

from dataclasses import replace

from archrouter.domain.policy import ModelTarget
from archrouter.workbench.foreign.facts import Facts, ForeignError, ForeignRoute, ForeignSet, Kind, Note, named

LOOKED_FOR = "'llm_providers', 'model_providers' or 'routing_preferences' (archgw, Plano)"

_PROVIDER_LISTS = ("llm_providers", "model_providers")
_REACHES = "reaches the provider; that stays with the gateway (the value is not shown)"
_PROVIDER_REASONS = dict.fromkeys(
    ("access_key", "base_url", "headers", "http_host", "passthrough_auth", "provider_interface"), _REACHES
)
_TOP_REASONS = {
    "agents": "agents are no models; policies choose models",
    "prompt_targets": "functions to call are no models; policies choose models",
    "prompt_guards": "guards what is said; policies only choose the model",
    "filters": "changes requests; policies only choose the model",
    "model_aliases": "names that callers may use; the models here have their full names",
    "overrides": "settings of the gateway, some of them thresholds of another scale",
    "routing": "which model routes and how long it sticks; the service has settings and route tickets for that",
    "ratelimits": "limits belong to the gateway that calls the models",
}
_SELECTION = "reorders the models by price or speed; here the order of 'models' decides"


def matches(facts: Facts) -> bool:
    """Say whether a configuration has the keys of this format."""
    return any(key in facts.values for key in (*_PROVIDER_LISTS, "routing_preferences"))


def read(facts: Facts) -> ForeignSet:
    """Read the preferences, and the default provider as fallback."""
    facts.take("version")
    models: dict[str, str] = {}
    routes: list[ForeignRoute] = []
    fallback: list[ModelTarget] = []
    providers = [provider for key in _PROVIDER_LISTS for provider in facts.tables(key)]
    for provider in providers:
        model = provider.needed("model", "a provider names its model")
        name = provider.text("name")
        models[model] = models[name or model] = model
        if name not in ("", model):
            provider.note(Kind.LEFT_OUT, "name", "a name that callers may use; the model here has its full name")
        if provider.take("default") is True:
            fallback.append(ModelTarget(model))
        routes += [_inline(preference, model) for preference in provider.tables("routing_preferences")]
        provider.close(_PROVIDER_REASONS)
    routes += [_listed(preference, models) for preference in facts.tables("routing_preferences")]
    if not routes:
        msg = "no provider and no list has 'routing_preferences'; without them there is no route to import"
        raise ForeignError(msg)
    facts.close(_TOP_REASONS)
    merged = _merged(routes, facts)
    used = {target.model for route in merged for target in route.models} | {target.model for target in fallback}
    for provider in providers:
        if provider.text("model") not in used:
            provider.note(Kind.LEFT_OUT, "model", f"no route uses {named(provider.text('model'))}")
    return ForeignSet(tuple(merged), tuple(dict.fromkeys(fallback)))


def _inline(preference: Facts, model: str) -> ForeignRoute:
    return _route(preference, (ModelTarget(model),))


def _listed(preference: Facts, models: dict[str, str]) -> ForeignRoute:
    targets = []
    for index, name in enumerate(preference.texts("models")):
        if name not in models:
            place = f"{preference.place('models')}[{index}]"
            preference.notes.append(Note(Kind.ASSUMED, place, f"{named(name)} is no provider's; taken as a model"))
        targets.append(ModelTarget(models.get(name, name)))
    return _route(preference, tuple(dict.fromkeys(targets)))


def _route(preference: Facts, models: tuple[ModelTarget, ...]) -> ForeignRoute:
    name = preference.needed("name", "name the preference")
    description = preference.text("description")
    preference.close({"selection_policy": _SELECTION})
    return ForeignRoute(preference.path, name, description, models)


def _merged(routes: list[ForeignRoute], facts: Facts) -> list[ForeignRoute]:
    """Make one route of those that say the same under several providers, with all their models."""
    by_meaning: dict[tuple[str, str], ForeignRoute] = {}
    for route in routes:
        key = (route.name, route.description)
        first = by_meaning.get(key)
        if first is None:
            by_meaning[key] = route
            continue
        models = tuple(dict.fromkeys((*first.models, *route.models)))
        by_meaning[key] = replace(first, models=models)
        note = f"{named(route.name)} stands under several providers; one route names all their models"
        facts.notes.append(Note(Kind.DERIVED, route.place, note))
    return list(by_meaning.values())
