"""What examples are worth is measured on turns that none of them is of."""

from collections.abc import Sequence

from compact_model.inputs import Candidate, Message
from compact_router.benchmark import LabelledTurn
from compact_router.evaluate import Decision
from compact_router.slots import Turn
from compact_router.views import FINE, View
from compact_router.with_examples import compare, examples_of, in_halves, mistakes, with_texts

ROUTES = (Candidate("water", "", "water", "Watering"), Candidate("prune", "", "prune", "Cutting"))


def views() -> list[View]:
    """Make one policy set with eighty turns, half of them of each route, and two of one text."""
    turns = [Turn(f"c{n}", (Message("user", f"request {n // 2 * 2}"),), n // 10 % 2, "own") for n in range(80)]
    return list(in_halves([View(FINE, ROUTES, tuple(turns))]))


def decided(halves: Sequence[View], predicted: int) -> list[Decision]:
    """Answer every turn with one route."""
    turns = ((view, turn) for view in halves for turn in view.turns)
    shown = (LabelledTurn(FINE, turn.conversation_id, b"", (b"", b""), turn.label) for _, turn in turns)
    return [Decision(each, predicted, 0.9, 0.5) for each in shown]


def test_each_half_has_its_examples_from_the_other() -> None:
    """Nothing that is asked in a half is shown in it, even where both have the same text; and not more than wanted."""
    halves = views()
    chosen = examples_of(halves, 3)

    for view in (with_texts(each, chosen, {}) for each in halves):
        asked = {turn.messages[-1].content for turn in view.turns}

        assert all(1 <= len(each.examples) <= 3 for each in view.candidates)
        assert not asked & {text for each in view.candidates for text in each.examples}
    assert 2 == len(halves)


def test_a_route_is_told_what_it_is_not_for_by_the_mistakes_of_the_other_half() -> None:
    """All is answered with the first route: requests of the second are what that one is not for."""
    halves = views()
    told = [with_texts(each, {}, mistakes(halves, decided(halves, 0))) for each in halves]
    of_second = {turn.messages[-1].content for view in halves for turn in view.turns if turn.label == 1}

    for view in told:
        assert view.candidates[0].not_examples
        assert {*view.candidates[0].not_examples} <= of_second
        assert () == view.candidates[1].not_examples
        assert not {*view.candidates[0].not_examples} & {turn.messages[-1].content for turn in view.turns}


def test_confusions_that_were_named_are_counted_before_and_after() -> None:
    """Turns of one half count where the other half has a mistake between the same two routes."""
    halves = views()
    always_first, always_second = decided(halves, 0), decided(halves, 1)

    effect = compare(halves, always_first, always_second, always_second)

    assert (80, 40, 40) == (effect.turns, effect.without, effect.given)
    assert (40, 0) == (effect.named, effect.still)
