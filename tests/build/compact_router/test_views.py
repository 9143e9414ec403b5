"""Policy sets drawn for training: every turn's label follows from what the routes of its set say."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from compact_model.inputs import Message
from compact_router.as_written import TURNS_PER_VIEW, views_as_written
from compact_router.neighbours import Neighbours
from compact_router.slots import Slot
from compact_router.talk import Talk
from compact_router.taxonomy import OTHER, OWN, Action, Domain, Example, Taxonomy, Unit, units_of
from compact_router.turns import TurnSampler
from compact_router.views import View, ViewSampler
from compact_router.wordings import Meaning, Writer
from data.augment.phrases import load_wordings
from data.augment.settings import Overlap
from numpy.typing import NDArray

WEIGHTS = {OWN: 1.0}
TOPICS = {
    "garden": {"plants": ("grow", "prune"), "animals": ("feed", "train")},
    "office": {"mail": ("send", "sort"), "rooms": ("book", "clean")},
}


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Give each text a direction of its own, so that nothing is near anything else."""
    return np.eye(len(texts), dtype=np.float32)


def make_taxonomy(name: str) -> Taxonomy:
    """Make a taxonomy whose messages say what they are about."""
    examples = [
        Example(f"{name}/{domain}/{action}/{number}", (Message("user", f"{domain} {action} {number}"),), domain, action)
        for domain, actions in TOPICS[name].items()
        for action in actions
        for number in range(3)
    ]
    other = Example(f"{name}/other", (Message("user", f"some {name} nonsense please"),), OTHER)
    thanks = Example(f"{name}/thanks", (Message("user", "thanks"),), OTHER, is_social=True)
    return Taxonomy(
        name=name,
        source=OWN,
        domains=tuple(
            Domain(
                domain,
                tuple(
                    Action(domain, action, (f"to {action} {domain}", f"{action}ing of {domain}")) for action in actions
                ),
                wholes=(f"all about {domain}",),
            )
            for domain, actions in TOPICS[name].items()
        ),
        examples=(*examples, other, thanks),
    )


DOMAINS = {domain for domains in TOPICS.values() for domain in domains}
TAXONOMIES = tuple(make_taxonomy(name) for name in TOPICS)
UNITS = [unit for unit, _ in units_of(TAXONOMIES)]
APART = Overlap(apart=frozenset(TOPICS))


def sample(count: int, units: Sequence[Unit] = UNITS, overlap: Overlap = APART) -> list[View]:
    """Draw views of six turns."""
    neighbours = Neighbours(TAXONOMIES, overlap, embed)
    sampler = ViewSampler(TAXONOMIES, units, neighbours, Writer(load_wordings()), WEIGHTS)
    return [sampler.draw(6, Random(number)) for number in range(count)]  # noqa: S311 - reproducible data, no secret


def texts_of(view: View) -> list[str]:
    """List what is said in a view, in small letters."""
    return [message.content.lower() for turn in view.turns for message in turn.messages]


def test_the_same_seed_draws_the_same_views() -> None:
    """A run that goes on after an interruption sees what it would have seen."""
    assert sample(20) == sample(20)


def test_a_turn_goes_to_the_action_that_it_names_or_else_to_its_domain_or_else_to_nothing() -> None:
    """Whatever the cut, the label is the narrowest route that says what the message says."""
    for view in sample(300):
        if all(each.domain in DOMAINS for each in view.candidates):
            routes = {(each.domain, each.action): index for index, each in enumerate(view.candidates)}
            for turn in view.turns:
                _, domain, action = (*turn.conversation_id.split("/"), "")[:3]
                expected = routes.get((domain, action), routes.get((domain, ""), len(view.candidates)))

                assert expected == turn.label


def test_every_kind_of_set_and_of_answer_is_drawn() -> None:
    """Sets of actions, of domains and of both; answers of each kind, and none."""
    views = sample(200)
    labels = [(view, turn.label) for view in views for turn in view.turns]

    assert {"fine", "coarse", "fallback", "mixed"} == {view.kind for view in views}
    assert any(label == len(view.candidates) for view, label in labels)
    assert any(label < len(view.candidates) and not view.candidates[label].action for view, label in labels)
    assert any(label < len(view.candidates) and view.candidates[label].action for view, label in labels)


def test_held_out_domains_appear_neither_as_routes_nor_in_turns() -> None:
    """Otherwise the figures on them would not be zero-shot."""
    kept = [unit for unit in UNITS if unit.domain != "mail"]

    for view in sample(100, kept):
        assert "mail" not in {candidate.domain for candidate in view.candidates}
        assert not any("mail send" in said or "mail sort" in said for said in texts_of(view))


def test_taxonomies_that_may_serve_each_others_requests_are_not_mixed() -> None:
    """A set that is named nowhere overlaps with all: a label must not depend on somebody's having forgotten it."""
    for view in sample(100, overlap=Overlap()):
        named = {name for name, domains in TOPICS.items() for each in view.candidates if each.domain in domains}

        assert len(named) <= 1


def test_candidates_of_a_set_have_ids_of_their_own() -> None:
    """An id names one route."""
    for view in sample(100):
        assert len(view.candidates) == len({candidate.id for candidate in view.candidates})


def turn_sampler(stand_ins: tuple[frozenset[tuple[str, str]], ...] = ()) -> TurnSampler:
    """Make a sampler of the garden alone."""
    garden = Taxonomy("garden", OWN, TAXONOMIES[0].domains, TAXONOMIES[0].examples, stand_ins)
    domains = dict(units_of([garden]))
    neighbours = Neighbours([garden], APART, embed)
    return TurnSampler([garden], domains, neighbours, {"garden": 1.0}, Talk(), uses=lambda _: True)


@pytest.mark.parametrize(
    ("stand_ins", "labels"), [((), {0, 1}), ((frozenset({("plants", "grow"), ("plants", "prune")}),), {0})]
)
def test_a_turn_is_not_used_where_another_route_may_do(
    stand_ins: tuple[frozenset[tuple[str, str]], ...], labels: set[int]
) -> None:
    """Without its own route, a request is no match only if no other route would take it."""
    plants = TAXONOMIES[0].domains[0]
    slots = [Slot(Unit("garden", "plants"), plants, plants.actions[0], is_whole=False)]
    sampler = turn_sampler(stand_ins)
    drawn = [sampler.draw(slots, [Unit("garden", "plants")], (), Random(number)) for number in range(60)]  # noqa: S311
    asked = [turn for turn in drawn if turn is not None and turn.messages[-1].content.lower().startswith("plants")]

    assert labels == {turn.label for turn in asked}


def test_a_domains_route_is_described_as_a_whole_or_by_what_is_left_over() -> None:
    """Beside actions it takes the rest; alone it takes everything."""
    writer = Writer(load_wordings())
    domain = TAXONOMIES[0].domains[0]

    whole = writer.write([Meaning(domain, None, is_whole=True)], Random(1))  # noqa: S311
    rest = writer.write([Meaning(domain, None, is_whole=False)], Random(1))  # noqa: S311

    assert ("plants", "") == (whole[0].domain, whole[0].action)
    assert whole[0].description != rest[0].description


def test_sets_as_written_have_all_actions_in_their_first_words_and_turns_as_labelled() -> None:
    """Only of the held-out domains, with the turns that fit no route; the same seed gives the same turns."""
    held_out = [unit for unit in UNITS if unit.taxonomy == "garden" and unit.domain == "plants"]

    views = views_as_written(TAXONOMIES, held_out, lambda _: True, fold=0)
    ids = [candidate.id for candidate in views[0].candidates]
    found = {turn.messages[-1].content: turn.label for view in views for turn in view.turns}

    assert ["plants_grow", "plants_prune"] == ids
    assert ["to grow plants", "to prune plants"] == [candidate.description for candidate in views[0].candidates]
    assert {
        "plants grow 0": 0,
        "plants prune 2": 1,
        "some garden nonsense please": 2,
        "thanks": 2,
    }.items() <= found.items()
    assert 8 == len(found)
    assert all(len(view.turns) <= TURNS_PER_VIEW for view in views)
    assert views == views_as_written(TAXONOMIES, held_out, lambda _: True, fold=0)


def test_sets_as_written_leave_out_turns_that_may_not_be_used() -> None:
    """What was trained on is not measured on."""
    views = views_as_written(TAXONOMIES, UNITS, lambda example: example.domain != OTHER, fold=0)

    assert all(turn.label < len(view.candidates) for view in views for turn in view.turns)


def test_a_public_source_is_measured_by_its_domains_as_well() -> None:
    """The own corpus' sets stand as they are; a public source also has sets of whole domains."""
    public = [replace(taxonomy, source="public") for taxonomy in TAXONOMIES]

    views = views_as_written(public, UNITS, lambda _: True, fold=0)
    coarse = [view for view in views if view.kind == "coarse"]

    assert {"fine", "coarse"} == {view.kind for view in views}
    assert ["plants", "animals"] == [candidate.id for candidate in coarse[0].candidates]
    assert {0, 1, 2} == {turn.label for turn in coarse[0].turns}
