"""Foreign configurations: each fact arrives in the policy set or in the report."""

from pathlib import Path

import pytest

from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.workbench.foreign.document import read_foreign
from archrouter.workbench.foreign.draft import PLACEHOLDER_MODEL, draft
from archrouter.workbench.foreign.facts import ForeignError, Kind, Note
from archrouter.workbench.foreign.formats import FORMATS, detect

_THINKS = '{"use_reasoning":true}'
_ANSWERS = '{"use_reasoning":false}'


@pytest.fixture
def foreign(root: Path) -> Path:
    """Return the folder of foreign configurations."""
    return root / "tests" / "data" / "foreign"


def _imported(path: Path, *models: str) -> tuple[str, PolicySet, list[Note]]:
    facts = read_foreign(path)
    name = detect(facts)
    drafted = draft(FORMATS[name].read(facts), "set", models, facts.notes, holds_out=False)
    return name, drafted.policy_set, facts.notes


def _route(
    route_id: str,
    description: str,
    *models: ModelTarget | str,
    examples: tuple[str, ...] = (),
    not_examples: tuple[str, ...] = (),
) -> RoutePolicy:
    targets = tuple(ModelTarget(model) if isinstance(model, str) else model for model in models)
    return RoutePolicy(route_id, "", "", description, targets, None, examples, not_examples)


def _places(notes: list[Note], kind: Kind) -> set[str]:
    return {note.place for note in notes if note.kind is kind}


def test_gateway_preferences_under_providers_become_routes(foreign: Path) -> None:
    """A preference is a route with its provider's model, the default provider is the fallback, alike ones are one."""
    name, policy_set, notes = _imported(foreign / "gateway_v0_1.yaml")

    claude = "anthropic/claude-sonnet-4-5"
    expected = (
        _route("recipe writing", "writing recipes and shopping lists for meals", "openai/gpt-4.1"),
        _route("wine advice", "choosing a wine that goes with a meal", "openai/gpt-4.1", claude),
        _route("other_requests", "planning a banquet for many guests", claude),
    )
    assert ("plano", PolicySet("set", "", expected, (ModelTarget(claude),))) == (name, policy_set)
    assert {
        "llm_providers[0].access_key",
        "llm_providers[1].access_key",
        "llm_providers[1].name",
        "llm_providers[2].name",
        "llm_providers[2].base_url",
        "llm_providers[2].model",
        "listeners",
        "model_aliases",
        "routing",
        "tracing",
    } == _places(notes, Kind.LEFT_OUT)
    assert {"llm_providers[1].routing_preferences[0]", "llm_providers[1].routing_preferences[1]"} == _places(
        notes, Kind.DERIVED
    )


def test_gateway_list_of_preferences_keeps_the_order_of_models(foreign: Path) -> None:
    """Since v0.4 a preference ranks models; without a default provider the fallback is assumed, and said so."""
    name, policy_set, notes = _imported(foreign / "gateway_v0_4.yaml")

    llama = "groq/llama-3.3-70b-versatile"
    expected = (
        _route(
            "garden planning",
            "planning beds, choosing plants and the season to plant them",
            llama,
            "openai/gpt-4o-mini",
        ),
        _route(
            "pest control",
            "recognising pests on plants and getting rid of them",
            "openai/gpt-4o-mini",
            "openai/undeclared",
        ),
    )
    assert ("plano", PolicySet("set", "", expected, (ModelTarget(llama),))) == (name, policy_set)
    assert {"", "routing_preferences[1].models[1]"} == _places(notes, Kind.ASSUMED)
    assert "routing_preferences[0].selection_policy" in _places(notes, Kind.LEFT_OUT)


def test_litellm_route_is_named_by_its_description_and_keeps_its_model(root: Path) -> None:
    """In LiteLLM's file a route's name is the model; the id, which the router reads, speaks of requests instead."""
    name, policy_set, notes = _imported(root / "examples" / "import" / "router.json", "openai/gpt-4o-mini")

    first = policy_set.routes[1]
    assert "litellm" == name
    assert 6 == len(policy_set.routes)
    assert ("writing_reviewing_repairing", "Writing, reviewing and repairing program code") == (
        first.id,
        first.description,
    )
    assert (ModelTarget("anthropic/claude-sonnet-4"),) == first.models
    assert 9 == len(first.examples)
    assert (ModelTarget("openai/gpt-4o-mini"),) == policy_set.fallback_models
    assert {f"routes[{index}].score_threshold" for index in range(6)} | {
        "encoder_type",
        "encoder_name",
    } == _places(notes, Kind.LEFT_OUT)


def test_semantic_router_yaml_gives_examples_and_a_model_to_fill_in(foreign: Path) -> None:
    """Utterances become examples; where no model is named the file is complete with one that is easy to find."""
    name, policy_set, notes = _imported(foreign / "semantic_router.yaml")

    stars = ("which planets can I see tonight", "is the comet visible without a telescope")
    expected = (
        _route("stargazing", "", PLACEHOLDER_MODEL, examples=stars),
        _route(
            "launches",
            "Asks about rockets and when they are launched",
            PLACEHOLDER_MODEL,
            examples=("when is the next launch",),
        ),
    )
    assert ("semantic-router", PolicySet("set", "", expected, (ModelTarget(PLACEHOLDER_MODEL),))) == (name, policy_set)
    assert {
        "encoder_name",
        "encoder_type",
        "routes[0]",
        "routes[0].score_threshold",
        "routes[1].function_schemas",
        "routes[1].llm",
        "routes[1].metadata",
    } == _places(notes, Kind.LEFT_OUT)


def test_semantic_router_list_of_routes_is_read_with_the_models_of_the_caller(foreign: Path) -> None:
    """A JSON list of routes is the other form of the same file; models that are named for it stand everywhere."""
    name, policy_set, _ = _imported(foreign / "semantic_router.json", "a/one", "b/two")

    models = (ModelTarget("a/one"), ModelTarget("b/two"))
    assert "semantic-router" == name
    assert [("get_tide", models), ("get_wind", models)] == [(route.id, route.models) for route in policy_set.routes]
    assert models == policy_set.fallback_models


def test_vllm_rules_become_descriptions_and_examples(foreign: Path) -> None:
    """What signals say is kept, negated sentences as what is not meant; the rule's structure is reported."""
    name, policy_set, notes = _imported(foreign / "vllm_rules.yaml")

    expected = (
        _route(
            "repair_decision",
            "Route repairs to the reasoning model. Bicycles and their parts. Words such as urgent, at once",
            ModelTarget("big", _THINKS),
            examples=("how do I mend a flat tyre", "my chain slips"),
            not_examples=("nice weather today",),
        ),
        _route("law_decision", "Traffic law", ModelTarget("small", _ANSWERS)),
    )
    assert ("vllm", PolicySet("set", "", expected, (ModelTarget("small"),))) == (name, policy_set)
    assert {"decisions"} == _places(notes, Kind.DERIVED)
    assert {
        "decisions[1].rules",
        "decisions[0].plugins",
        "embedding_rules[0].threshold",
        "keyword_rules[0].case_sensitive",
        "categories[1].mmlu_categories",
        "strategy",
        "semantic_cache",
        "vllm_endpoints",
        "model_config",
    } <= _places(notes, Kind.LEFT_OUT)


def test_vllm_nested_form_is_read_as_well(foreign: Path) -> None:
    """Since v0.3 everything stands under `routing`; signals that are no matter of the text are reported."""
    name, policy_set, notes = _imported(foreign / "vllm_v0_3.yaml")

    large = ModelTarget("harbour-large", '{"reasoning_effort":"high","use_reasoning":true}')
    expected = (
        _route(
            "terse_route",
            "Short answers for skippers. Skippers who want short answers",
            large,
            examples=("keep it short",),
        ),
        _route("catch_all_route", "catch all route", "harbour-small"),
    )
    assert ("vllm", PolicySet("set", "", expected, (ModelTarget("harbour-small"),))) == (name, policy_set)
    assert {
        "routing.signals.language",
        "routing.decisions[0].rules.conditions[1]",
        "routing.decisions[0].algorithm",
        "routing.decisions[1].rules",
        "providers.models",
        "listeners",
    } <= _places(notes, Kind.LEFT_OUT)


def test_words_that_must_not_occur_are_no_description(tmp_path: Path) -> None:
    """A keyword rule that excludes its words would say the opposite in a description."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "keyword_rules: [{name: spam, operator: NOR, keywords: [buy now]}]\n"
        "decisions:\n"
        "  - name: honest\n"
        "    description: Honest questions\n"
        "    rules: {operator: AND, conditions: [{type: keyword, name: spam}]}\n"
        "    modelRefs: [{model: m}]\n"
    )

    _, policy_set, notes = _imported(path)

    assert "Honest questions" == policy_set.routes[0].description
    assert "keyword_rules[0].keywords" in _places(notes, Kind.LEFT_OUT)


@pytest.mark.parametrize("name", ["gateway_v0_1.yaml", "gateway_v0_4.yaml", "semantic_router.yaml", "vllm_v0_3.yaml"])
def test_report_shows_no_value_that_was_not_understood(foreign: Path, name: str) -> None:
    """Keys, addresses, prompts and classes are named by their place only."""
    _, policy_set, notes = _imported(foreign / name)

    assert "planted" in (foreign / name).read_text().lower()
    assert "planted" not in f"{policy_set}{notes}".lower()


def test_unknown_format_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    """Who brings another file learns which keys would have been recognised."""
    path = tmp_path / "config.yaml"
    path.write_text("policy_set: support\n")

    with pytest.raises(ForeignError) as caught:
        _imported(path)

    for words in ("'llm_providers'", "'routes' with", "'decisions'", "its keys are 'policy_set'", "--format"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("llm_providers: [{model: m}]", "no provider and no list has 'routing_preferences'"),
        ("llm_providers: [{name: m}]", "llm_providers[0].model is missing or empty; a provider names its model"),
        ("llm_providers: sk-planted", "llm_providers is not a list"),
        ("llm_providers: [sk-planted]", "llm_providers[0] is not a mapping"),
        ("llm_providers: [{model: [sk-planted]}]", "llm_providers[0].model is not text"),
        ("routes: [{utterances: [hi]}]", "routes[0].name is missing or empty; name the route"),
        ("decisions: []", "decisions is empty"),
        ("decisions: [{name: d, rules: sk-planted}]", "decisions[0].rules is not a mapping"),
    ],
)
def test_wrong_shape_names_the_place_and_no_value(tmp_path: Path, text: str, message: str) -> None:
    """A field of another type ends the import with its path and a remedy; the value may be a secret."""
    path = tmp_path / "config.yaml"
    path.write_text(text)

    with pytest.raises(ForeignError) as caught:
        _imported(path)

    assert str(caught.value).startswith(message)
    assert "planted" not in str(caught.value)
