"""The made-up services: every text is where it belongs, and none is of what the router is measured on."""

import json
from pathlib import Path

import pytest
from compact_model.inputs import ASSISTANT, USER
from compact_router.services import CHATS, SERVICES, ServicesError, read_services, read_translations
from compact_router.talk import ENGLISH, TALK
from compact_router.taxonomy import OTHER, Taxonomy, units_of
from data.texts import words
from yaml import safe_load

BENCHMARKS = Path(__file__).parents[3] / "benchmarks" / "data"

LANGUAGES = ["ar", "de", "es", "fr", "hi", "it", "ja", "pl", "pt", "zh"]

MIN_WORDS = 8
"""Shorter questions are everybody's: what time it is, how tall a tower."""


@pytest.fixture(scope="module")
def services() -> tuple[Taxonomy, ...]:
    """Read the committed ones, those that are held out as well."""
    return (*read_services(SERVICES), *read_services(SERVICES, is_held_out=True))


def test_some_services_are_held_out() -> None:
    """About a tenth: enough to measure with, few enough to be spared."""
    trained = {each.name for each in read_services(SERVICES)}
    held_out = {each.name for each in read_services(SERVICES, is_held_out=True)}

    assert not trained & held_out
    assert 0.1 < len(held_out) / len(trained | held_out) < 0.15


def test_every_turn_has_a_route_of_its_service_or_none(services: tuple[Taxonomy, ...]) -> None:
    """And each conversation is of a user and an assistant in turns."""
    for service in services:
        actions = {action.key for domain in service.domains for action in domain.actions}
        rests = {(domain.name, None) for domain in service.domains if domain.rests}
        for example in service.examples:
            assert (example.domain, example.action) in actions | rests | {(OTHER, None)}
            roles = [message.role for message in example.messages]
            assert [(USER, ASSISTANT)[at % 2] for at in range(len(roles))] == roles


def test_no_service_asks_what_a_benchmark_asks(services: tuple[Taxonomy, ...]) -> None:
    """Nothing that a user says is a message of the data that the router is measured on."""
    lines = (line for path in BENCHMARKS.rglob("*.jsonl") for line in path.read_text("utf-8").splitlines())
    asked = {" ".join(words(each["content"])) for line in lines for each in json.loads(line)["messages"]}
    said = {" ".join(words(each.content)) for one in services for turn in one.examples for each in turn.messages}

    assert [] == sorted(each for each in said & asked if len(each.split()) >= MIN_WORDS)


@pytest.mark.parametrize("is_held_out", [False, True])
def test_every_translation_is_of_a_text_of_its_services(is_held_out: bool) -> None:  # noqa: FBT001 - one of two parts
    """What the services held out say is not taught by way of another language."""
    services = read_services(SERVICES, is_held_out=is_held_out)
    turns = [turn for each in services for turn in each.examples if turn.language == ENGLISH]
    known = {message.content for turn in turns for message in turn.messages}
    known |= {text for _, domain in units_of(services) for text in (*domain.wholes, *domain.rests)}
    known |= {text for _, domain in units_of(services) for action in domain.actions for text in action.descriptions}
    talk = safe_load(TALK.read_text(encoding="utf-8"))
    known |= {each["description"] for name in ("small_talk", "catch_alls") for each in talk[name]}

    translations = read_translations(SERVICES, is_held_out=is_held_out)

    assert LANGUAGES == sorted(translations)
    assert [] == [text for each in translations.values() for text in each if text not in known]
    assert all({turn.language for each in services for turn in each.examples} >= {name} for name in LANGUAGES)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- set: a", "domains"),
        ("set: a", "tuple"),
        ("- {", "is not as it should be"),
        (None, "two sets are called 'a'"),
    ],
)
def test_a_malformed_file_is_named(text: str | None, told: str, tmp_path: Path) -> None:
    """With what is wrong in it."""
    action = {"name": "b", "texts": ["c"], "asks": ["d"]}
    one = {"set": "a", "about": "x", "domains": [{"name": "e", "whole": ["f"], "actions": [action]}], "other": ["g"]}
    (tmp_path / "a.yaml").write_text(json.dumps([one, one]) if text is None else text, encoding="utf-8")

    with pytest.raises(ServicesError, match=told) as raised:
        read_services(tmp_path)

    assert str(tmp_path) in str(raised.value)


CHAT = {"said": ["hello", "Hello.", "cut my hedge"], "routes": ["social", "garden/cut"]}
GARDENER = {
    "set": "gardener",
    "about": "Requests to a gardener",
    "domains": [
        {
            "name": "garden",
            "whole": ["Everything about the garden"],
            "actions": [{"name": "cut", "texts": ["Cutting what has grown"], "asks": ["trim the roses"]}],
        }
    ],
    "other": ["what is the time"],
}


def with_chats(folder: Path, chats: object) -> tuple[Taxonomy, ...]:
    """Read a gardener's service with conversations of its users."""
    (folder / CHATS).mkdir()
    (folder / "gardener.yaml").write_text(json.dumps([GARDENER]), encoding="utf-8")
    (folder / CHATS / "gardener.yaml").write_text(json.dumps(chats), encoding="utf-8")
    return read_services(folder)


def test_each_message_of_a_user_is_a_turn_of_its_conversation(tmp_path: Path) -> None:
    """With all that was said before; a greeting asks for nothing."""
    (gardener,) = with_chats(tmp_path, [{"set": "gardener", "chats": [CHAT]}])

    greeting, request = gardener.examples[-2:]
    assert (greeting.domain, greeting.is_social, len(greeting.messages)) == (OTHER, True, 1)
    assert (request.domain, request.action, request.is_social) == ("garden", "cut", False)
    assert [message.content for message in request.messages] == CHAT["said"]
    assert greeting.conversation_id == request.conversation_id


@pytest.mark.parametrize(
    ("chats", "told"),
    [
        ([{"set": "gardener", "chats": [{**CHAT, "routes": ["social"]}]}], "3 messages, 1 routes"),
        (
            [{"set": "gardener", "chats": [{**CHAT, "routes": ["social", "garden/mow"]}]}],
            "no route is called 'garden/mow'",
        ),
        ([{"set": "gardner", "chats": [CHAT]}], "no set is called 'gardner'"),
    ],
)
def test_a_conversation_that_fits_no_service_is_named(chats: object, told: str, tmp_path: Path) -> None:
    """With the route or the set that is not known."""
    with pytest.raises(ServicesError, match=told):
        with_chats(tmp_path, chats)
