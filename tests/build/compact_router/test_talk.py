"""What is said around requests: phrases in halves, the right answer as the routes for talk say, examples apart."""

import json
from random import Random

import pytest
from compact_model.inputs import ASSISTANT, USER, Message
from compact_router.benchmark import LabelledTurn
from compact_router.dialogues import Asked, Dialogues, social_kind
from compact_router.evaluate import Decision
from compact_router.kinds import benchmark_views, figures_by_setting, in_other_languages
from compact_router.services import read_translations
from compact_router.slots import Slot
from compact_router.talk import DECLINE, LANGUAGES, NOISE, PASTE, SOCIAL_KINDS, TALK, THANKS, Talk, TalkRoute, expand
from compact_router.taxonomy import Unit
from data.augment.drawing import seeded
from data.kinds.__main__ import SOURCES, TARGET, compose
from tests.build.compact_router.test_views import TAXONOMIES, sample, texts_of, turn_sampler
from yaml import safe_load

LISTS = ("lead_ins", "after_answers", "closings", "cues", "confirmations")


def phrases(talk: Talk, name: str) -> set[str]:
    """Draw many phrases of a list, in small letters."""
    return {talk.say(name, seeded(name, number)).lower() for number in range(400)}


def test_phrases_that_are_measured_with_are_not_trained_with() -> None:
    """A network is measured on lead-ins and the like that it has never seen."""
    for name in LISTS:
        assert not phrases(Talk(), name) & phrases(Talk(is_measured=True), name)


def test_every_phrase_can_be_said() -> None:
    """No bracket is left open, and no place for other words left empty."""
    for talk in (Talk(), Talk(is_measured=True)):
        for name, each in safe_load(TALK.read_text(encoding="utf-8")).items():
            if isinstance(each, list) and isinstance(each[0], str):
                said = [
                    talk.say(name, seeded(number), core="core", asked="asked", texts=lambda _: "words")
                    for number in range(100)
                ]

                assert not [text for text in said if "{core}" in text or "{asked}" in text or "{text}" in text]
                assert name == "pages" or not [text for text in said if "|" in text]


def test_choices_may_stand_in_choices() -> None:
    """Inner ones are made first."""
    assert {"a", "bd", "cd"} == {expand("[a|[b|c]d]", Random(number)) for number in range(40)}  # noqa: S311


def test_social_messages_go_to_the_route_for_them_or_to_nothing() -> None:
    """A set's own small-talk route takes greetings; without one they are no match, whatever came before."""
    seen = set()
    for view in sample(300):
        texts = {index: each.description + each.id for index, each in enumerate(view.candidates)}
        for turn in view.turns:
            if turn.kind in SOCIAL_KINDS:
                seen.add(turn.label < len(view.candidates))

                assert "grow" not in texts.get(turn.label, "")

    assert {True, False} == seen


def test_a_catch_all_takes_what_no_other_route_takes() -> None:
    """Requests without a route of their own are its own."""
    plants = TAXONOMIES[0].domains[0]
    slots = [Slot(Unit("garden", "plants"), plants, plants.actions[0], is_whole=False)]
    rest = TalkRoute("rest", "all else", frozenset(), frozenset(SOCIAL_KINDS), takes_rest=True)
    sampler = turn_sampler()
    drawn = [
        sampler.draw(slots, [Unit("garden", "plants")], (rest,), Random(number))  # noqa: S311
        for number in range(100)
    ]

    assert {0, 1} == {turn.label for turn in drawn if turn is not None}


def test_a_yes_to_an_offer_keeps_the_route_and_comes_after_the_offer() -> None:
    """The request, what the assistant offers, and words that ask for nothing by themselves."""
    dialogues = Dialogues(Talk(), [])
    asked = Asked((Message(USER, "water the roses every evening"),), "en", is_clear=True)

    made = dialogues.make("confirm", asked, (), "Watering flowers", Random(3))  # noqa: S311

    assert [USER, ASSISTANT, USER] == [message.role for message in made]
    assert asked.messages[0] == made[0]
    assert "roses" not in made[-1].content


def test_a_written_offer_is_taken_up_or_declined_and_what_was_said_stays() -> None:
    """The yes has its route; a no asks for nothing."""
    dialogues = Dialogues(Talk(), [])
    offered = (Message(USER, "it rains in"), Message(ASSISTANT, "Shall I send a roofer?"))

    taken = dialogues.taken_up(offered, "en", Random(3))  # noqa: S311
    social = [dialogues.social(offered, seeded("no", number))[:2] for number in range(60)]

    assert offered == taken[:-1]
    assert USER == taken[-1].role
    declined = [messages for kind, messages in social if kind == DECLINE]
    assert declined
    assert all(offered == messages[:-1] for messages in declined)


def test_an_offer_is_made_and_taken_up_in_the_language_of_the_request() -> None:
    """What a user of another language says to go on is no yes."""
    german = safe_load((LANGUAGES / "de.yaml").read_text(encoding="utf-8"))
    dialogues = Dialogues(Talk(), [])
    asked = Asked((Message(USER, "Gieß bitte jeden Abend die Rosen"),), "de", is_clear=True)
    offers: set[str] = set()
    replies: set[str] = set()
    for number in range(300):
        made = dialogues.make("confirm", asked, (), "Watering flowers", Random(number))  # noqa: S311
        offers.update(offer for offer in german["offers"] if made[1].content.endswith(offer))
        replies.add(made[2].content.lower())

    continued = {
        dialogues.make("continue", asked, (), "", Random(number))[2].content.lower()  # noqa: S311
        for number in range(300)
    }

    assert offers <= {*german["offers"]}
    assert len(offers) > 1
    assert replies <= {each.lower() for each in german["confirmations"]}
    assert continued <= {each.lower() for each in german["continuations"]}


def test_thanks_after_words_in_another_language_are_in_it() -> None:
    """And the turn says so, so that nobody who reads English alone is held to it."""
    german = safe_load((LANGUAGES / "de.yaml").read_text(encoding="utf-8"))["social"]
    dialogues = Dialogues(Talk(), [])
    asked = (Message(USER, "Gieß bitte jeden Abend die Rosen"),)
    made = [dialogues.social(asked, seeded("danke", number), "de") for number in range(100)]

    thanks = {(messages[-1].content.lower(), language) for kind, messages, language in made if kind == THANKS}

    assert thanks
    assert thanks <= {(each.lower(), "de") for each in german["thanks"]}


class Named(Talk):
    """Says the names of the lists instead of their phrases."""

    def say(self, name: str, *_: object, **__: object) -> str:
        """Name the list."""
        return f"<{name}>"


def test_one_of_several_is_chosen_only_where_several_were_offered() -> None:
    """An offer that mentions a first half or a first one is taken up with a yes."""
    dialogues = Dialogues(Named(), [])
    asked = Asked((Message(USER, "water the roses every evening"),), "en", is_clear=True)
    made = [dialogues.make("confirm", asked, (), "Watering flowers", Random(number)) for number in range(300)]  # noqa: S311

    replies = {(each[1].content.split()[-1], each[2].content) for each in made}

    assert {("<offers>", "<confirmations>"), ("<options>", "<choices>")} == {
        each for each in replies if each[0] in ("<offers>", "<options>")
    }


@pytest.mark.parametrize("language", ["en", "de"])
def test_only_a_request_that_stands_by_itself_is_put_among_other_text(language: str) -> None:
    """Nobody can tell which words of a page are the request when it is two words that answer a question."""
    talk, said = Talk(), (Message(USER, "short and bent"),)
    ways = {
        is_clear: {
            talk.dress(said, language, lambda _: "words", Random(number), is_clear=is_clear)[0]  # noqa: S311
            for number in range(200)
        }
        for is_clear in (True, False)
    }

    assert {NOISE} <= ways[True]
    assert not {NOISE, PASTE} & ways[False]


def test_beside_a_route_for_small_talk_other_requests_are_often_no_match() -> None:
    """The route for greetings is not the one for the rest."""
    plants = TAXONOMIES[0].domains[0]
    slots = [Slot(Unit("garden", "plants"), plants, plants.actions[0], is_whole=False)]
    chat = TalkRoute("chat", "greetings", frozenset(SOCIAL_KINDS), frozenset(), takes_rest=False)
    sampler = turn_sampler()
    drawn = [
        sampler.draw(slots, [Unit("garden", "plants")], (chat,), Random(number))  # noqa: S311
        for number in range(200)
    ]
    labels = [turn.label for turn in drawn if turn is not None and turn.kind not in SOCIAL_KINDS]

    assert labels.count(2) > 0.15 * (labels.count(0) + labels.count(2))


def test_a_change_of_subject_ends_with_the_request() -> None:
    """What came before is another conversation and its answer."""
    dialogues = Dialogues(Talk(), [])
    asked = Asked((Message(USER, "water the roses every evening"),), "en", is_clear=True)

    for number in range(30):
        made = dialogues.make("switch", asked, (Message(USER, "feed the cat"),), "", Random(number))  # noqa: S311

        assert [USER, ASSISTANT, USER] == [message.role for message in made]
        assert made[-1].content.endswith(asked.messages[0].content)


def test_examples_of_a_route_are_never_what_is_asked() -> None:
    """Otherwise the network would learn to look the answer up."""
    views = sample(300)
    shown = [(view, text) for view in views for each in view.candidates for text in each.examples]

    assert shown
    assert not [text for view, text in shown if any(text.lower() == said for said in texts_of(view))]


def test_examples_that_a_route_is_not_for_are_of_other_routes() -> None:
    """They are what users said on a neighbour."""
    for view in sample(300):
        for each in view.candidates:
            if each.action:
                assert not [text for text in each.not_examples if each.action in text]


def test_social_messages_are_told_apart_by_their_words() -> None:
    """Those of the sources have no kind; thanks is the most frequent."""
    said = {"hello there": "greeting", "ok, bye now": "goodbye", "great, thanks a lot": "thanks"}

    assert said == {text: social_kind(text) for text in said}


def test_the_held_out_kinds_are_made_again_as_they_are_committed() -> None:
    """The files are not edited by hand, and none of their phrases is trained with."""
    sets, said = (safe_load((SOURCES / f"{name}.yaml").read_text(encoding="utf-8")) for name in ("sets", "wordings"))
    made = {kind: [dict(line) for line in lines] for kind, lines in compose(sets, said).items()}
    files = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in TARGET.glob("*.jsonl")}
    trained = {text for name in LISTS for text in phrases(Talk(), name)}
    talk = Talk()
    social = {talk.social(kind, seeded(kind, number))[0].lower() for kind in SOCIAL_KINDS for number in range(400)}

    assert made == files
    assert not social & {text.lower() for name in ("social", "thanks") for text in said[name]}
    assert not trained & {text.lower() for name in LISTS if name in said for text in said[name]}


def test_every_line_of_the_held_out_kinds_names_a_route_of_its_set() -> None:
    """Or no match; and what it was made of is another line's request."""
    views, changed = benchmark_views(TARGET)
    ids = {turn.conversation_id for view in views for turn in view.turns}
    others = {view.kind for view in views for turn in view.turns if turn.label == len(view.candidates)}

    assert {"small_talk_none", "foreign_none", "foreign_small_talk"} == others
    assert set(changed.values()) <= ids


def test_a_sample_of_the_held_out_kinds_is_in_ten_languages() -> None:
    """What is translated are their messages, and a conversation is whole in the other language."""
    translations = read_translations(SOURCES)
    views, _ = benchmark_views(TARGET)
    original = {turn.conversation_id: turn for view in views for turn in view.turns}

    found = [turn for view in in_other_languages() for turn in view.turns]

    asked = {message.content for turn in original.values() for message in turn.messages}
    assert 10 == len(translations)
    assert [] == [text for known in translations.values() for text in known if text not in asked]
    assert len(found) > 500
    assert all(len(original[turn.conversation_id].messages) == len(turn.messages) for turn in found)
    assert 3 > sum(original[turn.conversation_id].messages == turn.messages for turn in found)


def test_a_flip_is_right_bare_and_wrong_changed() -> None:
    """Others are no flips: those that are wrong bare, and those that stay right."""
    turns = [
        LabelledTurn(setting, name, b"", (b"a", b"b"), 0)
        for setting, name in (("bare", "1"), ("bare", "2"), ("lead", "3"), ("lead", "4"))
    ]
    decisions = [Decision(turn, int(turn.conversation_id in "23"), 0.95, 0.5) for turn in turns]

    found = {each["setting"]: each for each in figures_by_setting(decisions, {"3": "1", "4": "2"})}

    assert (1, 1) == (found["lead"]["pairs_right_bare"], found["lead"]["flips"])
    assert (0.5, 1) == (found["lead"]["accuracy"], found["lead"]["sure_and_wrong"])
    assert (0, 0) == (found["bare"]["pairs_right_bare"], found["bare"]["flips"])
