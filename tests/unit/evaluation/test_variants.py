"""Variants of a dataset: labels stay right, and the same seed gives the same variant."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.benchmark_folder import CONVERSATION, POLICY_SET, write_benchmark

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.evaluation.dataset import Dataset, read_dataset, read_policy_sets
from archrouter.evaluation.variants import ROUTE_COUNTS, Perturbation, Variant, make_variants

_STRANGER_COUNT = 200


def _routes(*names: str) -> list[dict[str, str]]:
    return [
        {"name": name, "domain": name.split("_")[0], "action": "act", "description": f"About {name} things"}
        for name in names
    ]


def _write(directory: Path) -> Path:
    """Write a set of eight routes, and another one with one domain in common and many strangers."""
    own = POLICY_SET | {"routes": [*POLICY_SET["routes"], *_routes(*(f"area{number}_own" for number in range(6)))]}
    write_benchmark(directory, [CONVERSATION, CONVERSATION | {"id": "talk-2"}], own)
    strangers = _routes("code_review", *(f"topic{number}_x" for number in range(_STRANGER_COUNT)))
    another = {"policy_set": "another", "routes": strangers}
    (directory / "policies" / "another.json").write_text(json.dumps(another), encoding="utf-8")
    return directory


def _variants(directory: Path, *perturbations: Perturbation, seed: int = 1) -> tuple[Dataset, list[Variant]]:
    _write(directory)
    dataset = read_dataset(directory)
    return dataset, list(make_variants(perturbations, dataset, read_policy_sets(directory), seed))


def _is_valid(variant: Variant) -> bool:
    """Say whether every label is still a route of the policy set its conversation is routed by, or ``other``."""
    return all(
        label.route == NO_MATCH_ID or variant.dataset.policy_sets[conversation.policy_set].route(label.route)
        for conversation in variant.dataset.conversations
        for label in conversation.labels
    )


def test_labels_stay_right_in_every_variant(tmp_path: Path) -> None:
    """Whatever is varied, each label is there to be chosen, and its turn is a turn of the plain dataset."""
    dataset, variants = _variants(tmp_path, *Perturbation)

    plain = {(one.id, label.turn): label.route for one in dataset.conversations for label in one.labels}
    assert len(Perturbation) - 1 + len(ROUTE_COUNTS) == len(variants)
    for variant in variants:
        assert _is_valid(variant)
        assert {
            (one.id, label.turn): label.route for one in variant.dataset.conversations for label in one.labels
        }.items() <= plain.items()


def test_same_seed_same_variants(tmp_path: Path) -> None:
    """Variants repeat with their seed and differ with another."""
    _, first = _variants(tmp_path, *Perturbation)
    _, again = _variants(tmp_path, *Perturbation)
    _, other = _variants(tmp_path, *Perturbation, seed=2)

    assert first == again
    assert first[0] != other[0]


def test_perturbation_does_not_depend_on_the_others(tmp_path: Path) -> None:
    """Typos alone are the typos of a run with everything."""
    _, everything = _variants(tmp_path, *Perturbation)
    _, (typos,) = _variants(tmp_path, Perturbation.TYPOS)

    assert typos in everything


def test_route_order_moves_routes_and_nothing_else(tmp_path: Path) -> None:
    """The same routes stand in another order; conversations are untouched."""
    dataset, (variant,) = _variants(tmp_path, Perturbation.ROUTE_ORDER)

    before, after = dataset.policy_sets["talk_set"].routes, variant.dataset.policy_sets["talk_set"].routes
    assert before != after
    assert sorted(route.id for route in before) == sorted(route.id for route in after)
    assert dataset.conversations == variant.dataset.conversations


def test_typos_are_in_messages_of_the_user_only(tmp_path: Path) -> None:
    """Each message of the user has one, the assistant's none; two conversations have different ones."""
    dataset, (variant,) = _variants(tmp_path, Perturbation.TYPOS)

    plain, varied = dataset.conversations[0], variant.dataset.conversations[0]
    assert [True, False, True] == [
        before.content != after.content for before, after in zip(plain.messages, varied.messages, strict=True)
    ]
    assert dataset.policy_sets == variant.dataset.policy_sets


def test_rewording_leaves_ids_alone(tmp_path: Path) -> None:
    """Every description is another, every id, domain and action the same."""
    dataset, (variant,) = _variants(tmp_path, Perturbation.REWORDED)

    for before, after in zip(
        dataset.policy_sets["talk_set"].routes, variant.dataset.policy_sets["talk_set"].routes, strict=True
    ):
        assert (before.id, before.domain, before.action) == (after.id, after.domain, after.action)
        assert before.description != after.description


def test_rewording_keeps_a_description_that_would_grow_too_long(tmp_path: Path) -> None:
    """A description at the limit stays as it is: the service would refuse a longer one."""
    long = [route | {"description": "x" * 2000} for route in POLICY_SET["routes"]]
    write_benchmark(tmp_path, policy_set=POLICY_SET | {"routes": long})
    dataset = read_dataset(tmp_path)

    (variant,) = make_variants([Perturbation.REWORDED], dataset, dataset.policy_sets, 1)

    assert dataset == variant.dataset


def test_distractors_bring_sets_to_the_number_of_routes(tmp_path: Path) -> None:
    """A set is cut to 5 routes and filled up to 150, as the runs are named."""
    _, variants = _variants(tmp_path, Perturbation.DISTRACTORS)

    assert ["distractors-5", "distractors-20", "distractors-50", "distractors-150"] == [one.name for one in variants]
    assert [5.0, 20.0, 50.0, 150.0] == [variant.mean_route_count for variant in variants]


def test_distractors_share_no_word_and_stand_behind(tmp_path: Path) -> None:
    """Own routes keep their places; a route of a domain that the set has is no distractor. Larger sets hold smaller."""
    dataset, variants = _variants(tmp_path, Perturbation.DISTRACTORS)

    own = [route.id for route in dataset.policy_sets["talk_set"].routes]
    ids = [[route.id for route in variant.dataset.policy_sets["talk_set"].routes] for variant in variants[1:]]
    assert all(own == filled[: len(own)] for filled in ids)
    assert all("code_review" not in filled for filled in ids)
    assert all(small == large[: len(small)] for small, large in pairwise(ids))


def test_distractors_leave_turns_out_that_no_policy_covers(tmp_path: Path) -> None:
    """What no own policy covers a distractor may: those turns have no right answer any more."""
    _, variants = _variants(tmp_path, Perturbation.DISTRACTORS)

    labels = {label.route for variant in variants for one in variant.dataset.conversations for label in one.labels}
    assert {"code_write"} == labels


def test_too_few_distractors_are_no_error(tmp_path: Path) -> None:
    """Where the folder has fewer routes than asked for, the set gets as many as there are."""
    dataset = read_dataset(write_benchmark(tmp_path))

    variants = list(make_variants([Perturbation.DISTRACTORS], dataset, read_policy_sets(tmp_path), 1))

    assert [2.0] * len(ROUTE_COUNTS) == [variant.mean_route_count for variant in variants]


def test_dataset_of_other_only_has_no_distractor_runs(tmp_path: Path) -> None:
    """Without a turn that a policy covers, nothing is left to run."""
    conversation = CONVERSATION | {"labels": [{"turn": 2, "route": "other"}]}
    dataset = read_dataset(write_benchmark(tmp_path, [conversation]))

    assert [] == list(make_variants([Perturbation.DISTRACTORS], dataset, dataset.policy_sets, 1))


@pytest.mark.parametrize("seed", range(5))
def test_small_sets_keep_every_right_route(tmp_path: Path, seed: int) -> None:
    """A conversation with more right routes than the number asked for keeps them all."""
    routes = [f"area{number}_own" for number in range(6)]
    messages = [{"role": ("user", "assistant")[index % 2], "content": "some words"} for index in range(11)]
    labels = [{"turn": 2 * index, "route": route} for index, route in enumerate(routes)]
    _write(tmp_path)
    own = json.loads((tmp_path / "policies" / "talk_set.json").read_text(encoding="utf-8"))
    write_benchmark(tmp_path, [CONVERSATION | {"messages": messages, "labels": labels}], own)
    dataset = read_dataset(tmp_path)

    variant = next(make_variants([Perturbation.DISTRACTORS], dataset, dataset.policy_sets, seed))

    assert _is_valid(variant)
    assert 6.0 == variant.mean_route_count
