"""Labels stay right under every change, and under any of them together.

What is right is said by the messages themselves (see `routing_records`), not by the code under test.
"""

from collections import Counter
from dataclasses import replace

import pytest
from data.augment.command import make_material
from data.augment.compose import CHANGES, Material, changed
from data.augment.drawing import seeded
from data.augment.settings import Overlap, Probabilities, Settings
from data.records import Record, check_structure
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.routing_records import FOLDERS, OTHER, SETS, right_route

from archrouter.domain.findings import Severity
from archrouter.domain.policy import check_policy_set

ALWAYS = Settings(
    probability=Probabilities(**dict.fromkeys(CHANGES, 1.0)),
    overlap=Overlap(apart=SETS, stand_ins={"workshop": ({"wood_sawing", "metal_welding"},)}),
)
SEEDS = st.integers(0, 10**6)


def material_of(folder: tuple[Record, ...]) -> Material:
    """Gather what the changes draw on."""
    return make_material(folder, {"Use for casting of metal": ("Molten metal into moulds",)}, ALWAYS)


def wrong_labels(record: Record) -> list[tuple[str, str]]:
    """List the labels that are not what the messages say; a follow-up is right when it repeats the label before."""
    wrong = []
    previous = OTHER
    for turn in record.turns:
        if turn.route is None:
            continue
        right = right_route(turn.text, record.routes)
        is_follow_up = right == OTHER and turn.route == previous
        if turn.route != right and not is_follow_up:
            wrong.append((turn.text, turn.route))
        previous = turn.route
    return wrong


@pytest.mark.parametrize("name", list(CHANGES))
@settings(max_examples=40)
@given(folder=FOLDERS, seed=SEEDS)
def test_labels_stay_right_under_each_change(name: str, folder: tuple[Record, ...], seed: int) -> None:
    """Whatever is drawn, no change leaves a label that the messages contradict."""
    version = CHANGES[name](folder[0], material_of(folder), seeded(seed))

    assert version is None or [] == wrong_labels(version)


@settings(max_examples=100)
@given(folder=FOLDERS, seed=SEEDS)
def test_labels_stay_right_under_all_changes_together(folder: tuple[Record, ...], seed: int) -> None:
    """The order of the changes keeps what each of them relies on."""
    version = changed(folder[0], ALWAYS, material_of(folder), seeded(seed))

    assert [] == wrong_labels(version)


@settings(max_examples=100)
@given(folder=FOLDERS, seed=SEEDS)
def test_a_changed_record_is_well_formed(folder: tuple[Record, ...], seed: int) -> None:
    """Roles alternate, ids are unique and valid, and every label is a route of the set or no match."""
    version = changed(folder[0], ALWAYS, material_of(folder), seeded(seed))

    check_structure(version)
    errors = [found for found in check_policy_set(version.as_policy_set()) if found.severity is Severity.ERROR]
    assert [] == errors
    assert {label for _, label in version.labels} <= {OTHER, *(route.id for route in version.routes)}


@pytest.mark.parametrize("name", ["removed_route", "removed_domain"])
@settings(max_examples=60)
@given(folder=FOLDERS, seed=SEEDS)
def test_a_removed_policy_leaves_the_domains_policy_or_no_match(
    name: str, folder: tuple[Record, ...], seed: int
) -> None:
    """A turn whose policy is gone gets the policy of its whole domain where that is there, else no match."""
    record = folder[0]

    version = CHANGES[name](record, material_of(folder), seeded(seed))

    if version is not None:
        gone = {route.id for route in record.routes} - {route.id for route in version.routes}
        domain_policies = {route.domain: route.id for route in version.routes if route.covers_domain}
        for before, after in zip(record.turns, version.turns, strict=True):
            route = record.route(before.route or "")
            if route is not None and route.id in gone:
                assert domain_policies.get(route.domain, OTHER) == after.route
            else:
                assert before.route == after.route
        assert gone & {label for _, label in record.labels}


@given(folder=FOLDERS, seed=SEEDS)
def test_shuffling_never_changes_a_label(folder: tuple[Record, ...], seed: int) -> None:
    """The same turns and the same routes in another order."""
    version = CHANGES["shuffled"](folder[0], material_of(folder), seeded(seed))

    if version is not None:
        assert folder[0].turns == version.turns
        assert Counter(folder[0].routes) == Counter(version.routes)
        assert folder[0].routes != version.routes


@settings(max_examples=60)
@given(folder=FOLDERS, seed=SEEDS)
def test_a_mixed_conversation_keeps_each_turns_label(folder: tuple[Record, ...], seed: int) -> None:
    """After a topic switch both conversations are there, turn for turn with their labels."""
    record = folder[0]

    version = CHANGES["topic_switch"](record, material_of(folder), seeded(seed))

    if version is not None:
        second = next(other for other in folder if other.id == version.provenance.sources[-1])
        assert record.turns == version.turns[: len(record.turns)]
        assert second.turns == version.turns[len(record.turns) + 1 :]
        assert version.turns[len(record.turns)].route is None


@settings(max_examples=60)
@given(folder=FOLDERS, seed=SEEDS)
def test_an_off_topic_request_comes_from_a_set_without_routes_here(folder: tuple[Record, ...], seed: int) -> None:
    """One more user's turn, no match, of another policy set; every other turn stays."""
    record = folder[0]

    version = CHANGES["off_topic"](record, material_of(folder), seeded(seed))

    if version is not None:
        added = [turn for turn in version.turns if turn.route == OTHER and turn not in record.turns]
        assert 1 == len(added)
        assert OTHER == right_route(added[0].text, record.routes)
        assert "workshop" != version.provenance.sources[-1].split("/")[0]
        assert list(record.labels) == [
            (record.turns.index(turn), turn.route) for turn in version.turns if turn.route and turn not in added
        ] or len(set(record.turns)) < len(record.turns)


@settings(max_examples=60)
@given(folder=FOLDERS, seed=SEEDS)
def test_distractors_are_not_added_where_a_request_has_no_route(folder: tuple[Record, ...], seed: int) -> None:
    """A request that fits no policy might fit a new one, so such a conversation gets none; thanks do not count."""
    version = CHANGES["distractors"](folder[0], material_of(folder), seeded(seed))

    unserved = [turn for turn in folder[0].turns if turn.route == OTHER and "nobody" in turn.text]
    assert (version is None) if unserved else (version is not None)


@settings(max_examples=60)
@given(folder=FOLDERS, seed=SEEDS)
def test_distractors_come_from_sets_that_do_not_overlap(folder: tuple[Record, ...], seed: int) -> None:
    """Sets that are said to overlap lend each other no route and no request."""
    overlap = Overlap(groups=({"workshop", "harbour"},), with_all={"bakery"})
    material = make_material(folder, {}, replace_overlap(overlap))

    assert CHANGES["distractors"](folder[0], material, seeded(seed)) is None
    assert CHANGES["off_topic"](folder[0], material, seeded(seed)) is None


def replace_overlap(overlap: Overlap) -> Settings:
    """Give the settings with another overlap."""
    return ALWAYS.model_copy(update={"overlap": overlap})


@settings(max_examples=60)
@given(folder=FOLDERS, seed=SEEDS)
def test_a_conversation_in_a_language_without_phrases_gets_no_words_put_in(
    folder: tuple[Record, ...], seed: int
) -> None:
    """Changes that add turns are left out; the others are made."""
    record = replace(folder[0], provenance=replace(folder[0].provenance, language="sw"))

    version = changed(record, ALWAYS, material_of(folder), seeded(seed))

    assert len(record.turns) == len(version.turns)
    assert () != version.provenance.augmentations
