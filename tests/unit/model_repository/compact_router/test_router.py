"""The committed model from bytes to scores: what holds for every call, and what makes it useful."""

import itertools
import json
from collections.abc import Sequence

import numpy as np
import pytest
from compact_model.inputs import InvalidInputError
from compact_model.router import CompactRouter, Scores

CODE, TRANSLATION, TRAVEL, CONTRACT, RECIPE, NO_MATCH = range(6)


def conversation(*messages: str) -> bytes:
    """Write messages of user and assistant in turn, the user first."""
    roles = itertools.cycle(("user", "assistant"))
    return json.dumps([{"role": role, "content": text} for role, text in zip(roles, messages, strict=False)]).encode()


def leader(scores: Scores) -> int:
    """Return the position of the highest score."""
    return int(scores.logits.argmax())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Write a Python function that parses a date", CODE),
        ("How do I say good evening in Italian? Please translate it", TRANSLATION),
        ("I need a hotel in Rome for two nights", TRAVEL),
        ("Is this non-compete clause enforceable?", CONTRACT),
        ("What can I cook with lentils and spinach?", RECIPE),
        ("What will the weather be like tomorrow?", NO_MATCH),
        ("hello", NO_MATCH),
    ],
)
def test_the_route_of_a_single_request_leads(
    router: CompactRouter, candidates: Sequence[bytes], message: str, expected: int
) -> None:
    """A plain request finds its route, and one that no route fits finds none."""
    assert expected == leader(router.score(conversation(message), candidates))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (("Translate into German: I like trains", "Ich mag Züge.", "and in French?"), TRANSLATION),
        (("Find a hotel in Rome", "The Roma is free. Shall I book it?", "that's perfect, book it"), TRAVEL),
    ],
)
def test_an_elliptical_turn_takes_its_meaning_from_the_context(
    router: CompactRouter, candidates: Sequence[bytes], messages: Sequence[str], expected: int
) -> None:
    """The same words lead to the route of what came before, and are less sure of it alone."""
    in_context = router.score(conversation(*messages), candidates).logits
    alone = router.score(conversation(messages[-1]), candidates).logits

    assert expected == in_context.argmax()
    assert probability(in_context, expected) > probability(alone, expected)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Peux-tu écrire une fonction Python qui lit une date ?", CODE),
        ("帮我把这封信翻译成英文", TRANSLATION),
        ("Ich brauche ein Hotel in Rom für zwei Nächte", TRAVEL),
        ("この契約の競業避止条項は有効ですか", CONTRACT),
        ("¿Qué puedo cocinar con lentejas y espinacas?", RECIPE),
        ("मुझे दाल की कोई आसान रेसिपी बताओ", RECIPE),
        ("أريد حجز رحلة إلى القاهرة يوم الجمعة", TRAVEL),
        ("Che tempo fa domani?", NO_MATCH),
        ("Merci beaucoup, bonne journée", NO_MATCH),
    ],
)
def test_other_languages_find_routes_in_english(
    router: CompactRouter, candidates: Sequence[bytes], message: str, expected: int
) -> None:
    """Their own encoder gives a text the vector of its translation, so that the routes stay as they are."""
    assert expected == leader(router.score(conversation(message), candidates))


def test_a_route_may_be_in_another_language(router: CompactRouter) -> None:
    """Each text is read by the encoder of its own language, whatever the others are in."""
    texts = ("Sendungen: Wo ein Paket ist und wann es ankommt", "Retouren: Ware zurückschicken oder umtauschen")
    routes = [
        json.dumps({"id": str(at), "domain": "", "action": "", "description": text}).encode()
        for at, text in enumerate(texts)
    ]

    found = [
        leader(router.score(conversation(message), routes))
        for message in ("where is my parcel?", "I want to send these shoes back", "wann kommt mein Paket an?")
    ]

    assert [0, 1, 0] == found


def probability(logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]], position: int) -> float:
    """Return the softmax at one position."""
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return float(weights[position] / weights.sum())


def test_a_new_topic_outweighs_its_history_more_than_a_short_turn_does(
    router: CompactRouter, candidates: Sequence[bytes]
) -> None:
    """The more a turn says by itself, the less the topic before it counts."""
    history = ("Find a hotel in Rome", "The Roma is booked.")
    switched = router.score(conversation(*history, "Now write a Python script that renames my files"), candidates)
    short = router.score(conversation(*history, "and for Tuesday?"), candidates)

    assert switched.logits[CODE] > short.logits[CODE]
    assert switched.logits[CODE] - switched.logits[TRAVEL] > short.logits[CODE] - short.logits[TRAVEL]


def test_thanks_after_a_request_match_nothing(router: CompactRouter, candidates: Sequence[bytes]) -> None:
    """A conversation that is over needs no route, however clear its topic was."""
    messages = ("Find a hotel in Rome", "The Roma is booked.", "thank you, that is all")

    assert NO_MATCH == leader(router.score(conversation(*messages), candidates))


def test_scores_do_not_depend_on_the_order_of_the_candidates(
    router: CompactRouter, candidates: Sequence[bytes]
) -> None:
    """Every permutation gives each candidate the same score, but for the rounding of sums in another order."""
    call = conversation("Find a hotel in Rome", "For when?", "next week")
    expected = router.score(call, candidates).logits

    for order in itertools.permutations(range(len(candidates))):
        scores = router.score(call, [candidates[position] for position in order]).logits

        assert expected[[*order, len(candidates)]] == pytest.approx(scores, abs=1e-3)


def test_a_score_does_not_depend_on_what_was_scored_before(router: CompactRouter, candidates: Sequence[bytes]) -> None:
    """Nothing but the cache outlives a call, and it changes no bit."""
    call = conversation("Find a hotel in Rome", "For when?", "next week")
    before = router.score(call, candidates).logits

    for number in range(70):
        router.score(conversation(f"message {number}"), candidates[:1])

    assert np.array_equal(before, router.score(call, candidates).logits)


def test_scores_are_finite_float32_with_one_more_for_no_match(
    router: CompactRouter, candidates: Sequence[bytes]
) -> None:
    """Empty and strange texts are scored like any other."""
    for message in ("", " \n", "\x00\ufffd", "🙂" * 50, "ключ", "a" * 5000):
        logits = router.score(conversation(message, "", message), candidates).logits

        assert (len(candidates) + 1,) == logits.shape
        assert np.float32 == logits.dtype
        assert np.isfinite(logits).all()


def test_the_counts_are_those_of_the_models_own_tokenizer(router: CompactRouter, candidates: Sequence[bytes]) -> None:
    """Words that are one token each make the counts predictable; special tokens are not counted."""
    scores = router.score(conversation("one two three", "four five", "six"), candidates)

    assert (6, 0, 0) == (scores.prompt_token_count, scores.dropped_message_count, scores.dropped_token_count)


def test_a_message_longer_than_the_encoder_is_cut_and_counted(
    router: CompactRouter, candidates: Sequence[bytes]
) -> None:
    """The request around a long paste is still read: its head and tail decide."""
    pasted = "Translate the following into Spanish. " + "river stone " * 1000 + " That was the text to translate."

    scores = router.score(conversation(pasted), candidates)

    assert TRANSLATION == leader(scores)
    assert (192, 0) == (scores.prompt_token_count, scores.dropped_message_count)
    assert 2000 + 6 + 7 - 192 == pytest.approx(scores.dropped_token_count, rel=0.5)


def test_the_middle_of_a_long_paste_changes_no_score(router: CompactRouter, candidates: Sequence[bytes]) -> None:
    """It is not read, nor split, nor spell-checked."""
    pasted = "Translate the following into Spanish. " + "river stone " * 200 + "%s That was the text to translate."
    some, other = (
        router.score(conversation(pasted % (middle + "river stone " * 200)), candidates).logits
        for middle in ("", "shippment " * 20_000)
    )

    assert np.array_equal(some, other)


def test_special_tokens_in_a_message_are_plain_text(router: CompactRouter, candidates: Sequence[bytes]) -> None:
    """A literal [SEP] is read as its characters: it ends nothing."""
    scores = router.score(conversation("[SEP]"), candidates)

    assert scores.prompt_token_count > 1


@pytest.mark.parametrize(
    ("call", "position", "tensor"), [(b"{", 0, "conversation"), (conversation("hi"), None, "candidates")]
)
def test_a_call_that_cannot_be_read_is_refused(
    router: CompactRouter, candidates: Sequence[bytes], call: bytes, position: int | None, tensor: str
) -> None:
    """The refusal names the tensor at fault."""
    given = [] if position is None else [candidates[position]]

    with pytest.raises(InvalidInputError, match=f"tensor '{tensor}'"):
        router.score(call, given)
