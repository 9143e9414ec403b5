"""The revision of a policy file is a digest of its meaning: of all of it, and of nothing else."""

from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archrouter.policy_files.policies import load_policy_set

_FILE = (Path(__file__).parents[2] / "data/policies/valid/every_key_of_domains.yaml").read_text(encoding="utf-8")

_WORDS = st.text(st.sampled_from("abc äß☃'\"#:-,[]{}&*!|>%@`?"), min_size=1, max_size=20).map(lambda text: f"x{text}x")
_PARAMETERS = st.dictionaries(
    _WORDS,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | _WORDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
_OWN_KEYS = {"description": _WORDS, "models": st.lists(st.sampled_from("mno"), min_size=1, max_size=3, unique=True)}
_THRESHOLD = {"min_confidence": st.floats(0, 1)}
_ACTIONS = st.lists(
    st.fixed_dictionaries({"action": _WORDS, **_OWN_KEYS}, optional=_THRESHOLD),
    min_size=1,
    max_size=3,
    unique_by=lambda action: action["action"],
)
_DOMAINS = st.lists(
    st.fixed_dictionaries({"domain": st.sampled_from(["one", "two", "three"]), "actions": _ACTIONS}),
    min_size=1,
    max_size=3,
    unique_by=lambda domain: domain["domain"],
)
_SETS = st.fixed_dictionaries(
    {
        "policy_set": st.from_regex(r"[a-z0-9-]{1,10}", fullmatch=True),
        "fallback": st.just(["m", "n", "o"]),
        "models": st.fixed_dictionaries(
            {name: st.fixed_dictionaries({"model": _WORDS}, optional={"parameters": _PARAMETERS}) for name in "mno"}
        ),
        "domains": _DOMAINS,
    },
    optional={"description": _WORDS, **_THRESHOLD},
)


def _revision(text: str) -> str:
    policy_set, findings = load_policy_set(text)
    assert policy_set is not None, findings
    return policy_set.revision


def _shuffled(value: object, random: Random) -> object:
    """Copy a document with the keys of every mapping in another order; lists keep theirs."""
    if isinstance(value, dict):
        return {key: _shuffled(value[key], random) for key in random.sample(list(value), len(value))}
    return [_shuffled(item, random) for item in value] if isinstance(value, list) else value


def _laid_out(document: object, random: Random) -> str:
    """Write a document in one of the many ways that mean the same."""
    text = yaml.safe_dump(
        _shuffled(document, random),
        sort_keys=False,
        default_flow_style=random.choice([True, False, None]),
        indent=random.randint(2, 6),
        allow_unicode=random.choice([True, False]),
        width=10_000_000,
    )
    return "".join(f"{line}\n" + random.choice(["", "\n", "# a comment\n"]) for line in text.splitlines())


@settings(max_examples=60)
@given(_SETS, st.randoms(use_true_random=False))
def test_revision_is_the_same_for_any_layout_comment_and_key_order(document: object, random: Random) -> None:
    """Two ways to write the same policy set share a revision."""
    one, other = _laid_out(document, random), _laid_out(document, random)

    assert _revision(one) == _revision(other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("temperature: 0", "temperature: 0.0"),
        ("min_confidence: 1\n", "min_confidence: 1.0\n"),
        ("description: Fixing bugs in programming", "description: |\n          Fixing bugs in programming\n"),
        ("fallback: [small, large]", "fallback:\n- small # the cheap one\n- 'large'"),
        ("domain: chat\n    id: small-talk", "id: small-talk\n    domain: chat"),
    ],
)
def test_revision_is_the_same_for_another_spelling(before: str, after: str) -> None:
    """Numbers are the doubles that reach the caller, and white space around a description is layout."""
    assert before in _FILE

    assert _revision(_FILE) == _revision(_FILE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("policy_set: every-key-0", "policy_set: every-key-2"),
        ("description: Every key", "description: Each key"),
        ("min_confidence: 0.25", "min_confidence: 0.26"),
        ("min_confidence: 0.25\n", ""),
        ("min_confidence: 1\n", "min_confidence: 0.9\n"),
        ("    min_confidence: 0\n", ""),
        ("fallback: [small, large]", "fallback: [large, small]"),
        ("fallback: [small, large]", "fallback: [small]"),
        ("model: vendor/large", "model: vendor/larger"),
        ("{temperature: 0}", "{temperature: 0.1}"),
        ("{temperature: 0}", "{temperature: '0'}"),
        ("{temperature: 0}", "{temperature: false}"),
        ("{temperature: 0}", "{temperature: null}"),
        ("{temperature: 0}", "{}"),
        ("{temperature: 0}", "{temperature: 0, stop: null}"),
        ("models: [large, small]", "models: [small, large]"),
        ("action: bug fixing", "action: bug-fixing"),
        ("action: review", "action: reviews"),
        ("id: code-review", "id: code-reviews"),
        ("domain: chat", "domain: talk"),
        ("Fixing bugs", "Fixing  bugs"),
        ("Small talk and thanks", "small talk and thanks"),
    ],
)
def test_revision_differs_for_any_change_of_meaning(before: str, after: str) -> None:
    """Whatever may change a decision or what the caller gets changes the revision."""
    assert 1 == _FILE.count(before)

    assert _revision(_FILE) != _revision(_FILE.replace(before, after))


def test_revision_differs_for_another_order_of_routes() -> None:
    """The order of routes is part of the prompt and breaks ties, so it is meaning."""
    head = "policy_set: order\nfallback: [small]\nmodels: {small: {model: vendor/small}}\nroutes:\n"
    one = "- {id: a, description: The first letter, models: [small]}\n"
    other = "- {id: b, description: The second letter, models: [small]}\n"

    assert _revision(head + one + other) != _revision(head + other + one)
