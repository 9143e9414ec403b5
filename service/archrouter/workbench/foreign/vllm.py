"""Decisions of vllm semantic-router: boolean rules over signals, of which a description keeps what they speak about.

Shapes: vllm-project/semantic-router, config/intelligent-routing/in-tree/*.yaml (rules at the top of the file),
config/config.yaml (v0.3: everything under ``routing``) and config/decision/composite/*.yaml (nested rules).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archrouter.domain.policy import ModelTarget
from archrouter.workbench.foreign.facts import Facts, ForeignError, ForeignRoute, ForeignSet, Kind, Note, named

LOOKED_FOR = "'decisions' or 'routing.decisions' (vllm semantic-router)"

_SIGNALS = {"keywords": "keyword", "embeddings": "embedding", "domains": "domain", "preferences": "preference"}
_OLDER_SIGNALS = {
    "keyword_rules": "keyword",
    "embedding_rules": "embedding",
    "preference_rules": "preference",
    "categories": "domain",
}
_SCALE = "belongs to a signal's own scale; min_confidence is a calibrated probability"
_SIGNAL_REASONS = dict.fromkeys(
    ("threshold", "bm25_threshold", "ngram_threshold", "fuzzy_threshold", "aggregation_method"), _SCALE
) | dict.fromkeys(
    ("operator", "method", "case_sensitive", "fuzzy_match"), "how words are compared; the model reads them"
)
_DECISION_REASONS = {
    "plugins": "change requests and answers; policies only choose the model",
    "algorithm": "chooses among the models; here the order of 'models' decides",
}
_PLACES = "where models run and how they are called; that stays with the gateway (the value is not shown)"
_TOP_REASONS = dict.fromkeys(("vllm_endpoints", "model_config", "providers", "listeners", "external_models"), _PLACES)
_UNKNOWABLE = "is no matter of what a conversation is about; the gateway can check it before it asks for a route"


@dataclass(slots=True)
class _Signal:
    """What a signal says in words, and whether a decision uses it."""

    place: str
    description: str
    keywords: tuple[str, ...]
    examples: tuple[str, ...]
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class _Condition:
    place: str
    type: str
    name: str
    is_negated: bool


def matches(facts: Facts) -> bool:
    """Say whether a configuration has the keys of this format."""
    routing = facts.values.get("routing")
    return "decisions" in facts.values or (isinstance(routing, dict) and "decisions" in routing)


def read(facts: Facts) -> ForeignSet:
    """Read the decisions, those of high priority first, and the default model as fallback."""
    is_nested = "routing" in facts.values and "decisions" not in facts.values
    routing = facts.table("routing") if is_nested else facts
    facts.take("version")
    signals = _signals(routing)
    decisions = routing.tables("decisions")
    if not decisions:
        msg = f"{routing.place('decisions')} is empty; there is no route to import"
        raise ForeignError(msg)
    routes = sorted(((_priority(decision), _route(decision, signals)) for decision in decisions), key=lambda r: -r[0])
    if len({priority for priority, _ in routes}) > 1:
        routing.note(Kind.DERIVED, "decisions", "priorities became the order of the routes, which only breaks ties")
    for signal in signals.values():
        if not signal.is_used:
            facts.notes.append(Note(Kind.LEFT_OUT, signal.place, "no decision uses this signal"))
    fallback = _default_model(facts)
    if is_nested:
        routing.close({"modelCards": _PLACES})
    facts.close(_TOP_REASONS)
    return ForeignSet(tuple(route for _, route in routes), tuple(ModelTarget(model) for model in fallback))


def _default_model(facts: Facts) -> list[str]:
    providers = facts.table("providers")
    defaults = providers.table("defaults")
    found = [facts.text("default_model"), providers.text("default_model"), defaults.text("model")]
    found.append(defaults.text("default_model"))
    defaults.close({})
    providers.close({"models": _PLACES})
    return [model for model in found if model][:1]


def _priority(decision: Facts) -> float:
    value = decision.take("priority")
    return float(value) if isinstance(value, int | float) else 0.0


def _signals(routing: Facts) -> dict[tuple[str, str], _Signal]:
    catalogue = routing.table("signals")
    lists = [(catalogue, key, type_) for key, type_ in _SIGNALS.items()]
    lists += [(routing, key, type_) for key, type_ in _OLDER_SIGNALS.items()]
    signals = {}
    for facts, key, type_ in lists:
        for signal in facts.tables(key):
            name = signal.text("name") or signal.text("category")
            signals[type_, name] = _signal(signal, type_)
    catalogue.close(dict.fromkeys(catalogue.values, f"a signal that {_UNKNOWABLE}"))
    return signals


def _signal(signal: Facts, type_: str) -> _Signal:
    keywords, candidates = signal.texts("keywords"), signal.texts("candidates") + signal.texts("examples")
    if type_ == "embedding":  # its older form calls the sentences keywords
        keywords, candidates = (), keywords + candidates
    if keywords and signal.text("operator").upper() == "NOR":
        signal.note(
            Kind.LEFT_OUT, "keywords", "words that must not occur; a description can say words, not forbid them"
        )
        keywords = ()
    found = _Signal(signal.path, signal.text("description"), keywords, candidates)
    signal.close(_SIGNAL_REASONS)
    return found


def _route(decision: Facts, signals: Mapping[tuple[str, str], _Signal]) -> ForeignRoute:
    name = decision.needed("name", "name the decision")
    words = [decision.text("description")]
    examples: list[str] = []
    not_examples: list[str] = []
    rules = decision.table("rules")
    conditions = list(_conditions(rules, is_negated=False))
    if not conditions:
        decision.note(Kind.LEFT_OUT, "rules", "holds for every request; consider its models as fallback instead")
    elif conditions[0].is_negated or not (len(conditions) == 1 or _is_union(rules)):
        text = f"a rule over {len(conditions)} conditions; a description can say them, not require or forbid them"
        decision.note(Kind.LEFT_OUT, "rules", text)
    for condition in conditions:
        signal = signals.get((condition.type, condition.name))
        if signal is None:
            is_known = condition.type in _SIGNALS.values()
            text = f"{condition.type} {named(condition.name)} {'is not defined' if is_known else _UNKNOWABLE}"
            decision.notes.append(Note(Kind.LEFT_OUT, condition.place, text))
            continue
        signal.is_used = True
        if condition.is_negated:
            not_examples += signal.examples
        else:
            words += [signal.description, f"Words such as {', '.join(signal.keywords)}" if signal.keywords else ""]
            examples += signal.examples
    description = ". ".join(dict.fromkeys(text.strip().rstrip(".") for text in words if text.strip()))
    models = tuple(_model(reference) for reference in decision.tables("modelRefs"))
    decision.close(_DECISION_REASONS)
    return ForeignRoute(
        decision.path, name, description, tuple(dict.fromkeys(models)), tuple(examples), tuple(not_examples)
    )


def _conditions(rules: Facts, *, is_negated: bool) -> Iterator[_Condition]:
    if "conditions" in rules.values:
        negates = rules.text("operator").upper() in {"NOT", "NOR"}
        for child in rules.tables("conditions"):
            yield from _conditions(child, is_negated=is_negated ^ negates)
    elif rules.values:
        type_, name = rules.text("type"), rules.text("name")
        yield _Condition(rules.path, type_ or "a condition", name, is_negated)
    rules.close({})


def _is_union(rules: Facts) -> bool:
    """Recognise rules that are one list of alternatives: what a description can say."""
    children = rules.values.get("conditions")
    if not isinstance(children, list) or any(isinstance(child, dict) and "conditions" in child for child in children):
        return False
    return str(rules.values.get("operator", "")).upper() == "OR"


def _model(reference: Facts) -> ModelTarget:
    """Read a model; how it shall think becomes parameters, which callers get back."""
    model = reference.needed("model", "a reference names its model")
    found = {key: reference.take(key) for key in ("use_reasoning", "reasoning_effort", "lora_name")}
    parameters = {key: value for key, value in found.items() if isinstance(value, bool | str)}
    reference.close({})
    return ModelTarget(model, json.dumps(parameters, ensure_ascii=False, separators=(",", ":"), sort_keys=True))
