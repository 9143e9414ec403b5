"""The sources are read as their descriptions say."""

import gzip
import json
from pathlib import Path

import pytest
from compact_model.inputs import Message
from compact_router.material import FOLD_COUNT, fold_of, read_material
from compact_router.public_sources import FILES, FINE_SETS, is_social, read_public_sources
from compact_router.taxonomy import OTHER, OWN, Taxonomy, units_of
from data.seed_corpus import SOURCES, read_splits


@pytest.fixture(scope="module")
def own() -> tuple[Taxonomy, ...]:
    """Read the committed corpus."""
    return read_material(None, services=None)


def test_only_the_train_split_of_the_own_corpus_is_read(own: tuple[Taxonomy, ...]) -> None:
    """The public benchmark is made of the other splits."""
    splits = {split.name: {record.policy_set for record in split.records} for split in read_splits(SOURCES)}

    assert splits["train"] == {taxonomy.name for taxonomy in own}


def test_every_label_of_the_own_corpus_names_a_route_of_its_set(own: tuple[Taxonomy, ...]) -> None:
    """An action of its domain, the domain's own route, or no match."""
    for taxonomy in own:
        known = {(domain.name, action.name) for domain in taxonomy.domains for action in domain.actions}
        rests = {(domain.name, None) for domain in taxonomy.domains if domain.rests}

        assert {(each.domain, each.action) for each in taxonomy.examples} <= known | rests | {(OTHER, None)}


def test_a_policy_set_of_the_own_corpus_is_in_one_fold(own: tuple[Taxonomy, ...]) -> None:
    """Its domains share words, so that holding out one of them would be no test."""
    folds = fold_of(own)

    assert {unit for unit, _ in units_of(own)} == set(folds)
    assert set(range(FOLD_COUNT)) >= set(folds.values())
    for taxonomy in own:
        assert 1 == len({fold for unit, fold in folds.items() if unit.taxonomy == taxonomy.name})


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "Danke dir, schönen Tag noch!", True),
        ("hi", "बहुत धन्यवाद!", True),
        ("ar", "مشكور", True),
        ("zh", "谢谢啦", True),
        ("ar", "شكرا، وهل هناك شيء آخر؟", False),
        ("en", "show me the way to a good bakery", False),  # "show" is praise in Portuguese
        ("xx", "thanks!", True),
    ],
)
def test_thanks_are_known_in_the_language_they_are_said_in(language: str, text: str, *, expected: bool) -> None:
    """A question is none, whatever its question mark; a language without a list is read as English."""
    assert expected == is_social([Message("user", text)], language)


def write_sources(folder: Path) -> None:
    """Write training sources of one SGD dialogue and nothing else."""
    routes = [
        {"name": f"bus_{action}", "domain": "bus", "action": action, "description": f"{action} a bus"}
        for action in ("find", "book")
    ]
    domain = [{"name": "bus", "domain": "bus", "action": "", "description": "anything about buses"}]
    (folder / "policies").mkdir()
    for name, listed in {**dict.fromkeys(FINE_SETS.values(), routes), "sgd_coarse_half_A": domain}.items():
        (folder / "policies" / f"{name}.json").write_text(json.dumps({"policy_set": name, "routes": listed}))
    turns = ("a bus to Bonn", "The 9:00?", "what does it cost", "12 euros.", "thanks, bye")
    dialogue = {
        "id": "1",
        "messages": [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)],
        "labels": [{"turn": 0, "route": "bus_find"}, {"turn": 4, "route": "other"}],
        "coarse_labels": [{"turn": 0, "route": "bus"}, {"turn": 2, "route": "bus"}, {"turn": 4, "route": "other"}],
    }
    wording = {"route": "bus_find", "intent_description": "look for a coach"}
    for name in FILES:
        line = {"sgd": json.dumps(dialogue), "sgd_route_wordings": json.dumps(wording)}.get(name, "")
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(line.encode()))


def test_public_sources_become_taxonomies_with_all_their_wordings(tmp_path: Path) -> None:
    """Crowd workers' wordings, our own and the coarse set's are added to those of the fine set."""
    write_sources(tmp_path)
    (tmp_path / "sgd.yaml").write_text("routes: {bus_find: [catching a bus]}\ndomains: {bus: [coach travel]}\n")

    sgd = {taxonomy.name: taxonomy for taxonomy in read_public_sources(tmp_path, tmp_path)}["sgd"]

    assert ("find a bus", "catching a bus", "look for a coach") == sgd.domains[0].actions[0].descriptions
    assert ("anything about buses", "coach travel") == sgd.domains[0].wholes


def test_a_turn_without_a_fine_label_is_known_by_its_domain_only(tmp_path: Path) -> None:
    """It may be shown to a set of domains, and never to one of actions."""
    write_sources(tmp_path)

    sgd = {taxonomy.name: taxonomy for taxonomy in read_public_sources(tmp_path, tmp_path)}["sgd"]

    assert [("bus", "find", True, False), ("bus", None, False, False), (OTHER, None, True, True)] == [
        (each.domain, each.action, each.is_known_exactly, each.is_social) for each in sgd.examples
    ]
    assert Message("user", "what does it cost") == sgd.examples[1].messages[-1]
    assert OWN != sgd.source
