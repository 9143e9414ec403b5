"""What the served graphs are shown before their numbers are rounded: texts and conversations as they will read them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import torch
from compact_model.conversation import TextTokens

from compact_router.as_written import views_as_written
from compact_router.batches import BatchMaker, LowerStates, score
from compact_router.network import Router, Routes, Said
from compact_router.plan import LIMITS
from compact_router.pretrained import ENCODERS, some_texts, text_reader
from compact_router.services import SERVICES, read_services
from compact_router.talk import ENGLISH
from compact_router.taxonomy import Taxonomy, units_of
from compact_router.views import View
from compact_router.with_examples import EVERY_TURN, EXAMPLES, examples_of, in_halves, with_texts

CONVERSATIONS_APART = 100
"""One of so many conversations shows what an encoder sees."""

SERVICES_APART, VIEWS_APART = 10, 31
"""One of so many services, and of so many policy sets of these with some requests, shows what the reader sees."""


def shown_to_encoder(started_from: str) -> list[TextTokens]:
    """List ids and types of what an encoder sees: a wording of each public route, conversations with the services."""
    maker, is_english = BatchMaker(text_reader(started_from), LIMITS), ENCODERS[started_from].is_english
    examples = [each for service in _services() for each in service.examples]
    known = [each.messages for each in examples if each.language == ENGLISH or not is_english]
    routes = [maker.example_tokens(text) for text in some_texts()]
    return [*routes, *(maker.conversation_tokens(messages) for messages in known[::CONVERSATIONS_APART])]


def shown_to_reader(router: Router, started_from: str) -> Iterator[tuple[Said, Routes]]:
    """Go through what the reader sees of requests to the services, one by one.

    In every other set the routes have examples, of what they are for and of what they are not for.
    """
    maker, lower = BatchMaker(text_reader(started_from), LIMITS), LowerStates(router.encoder, 0)
    seen: list[tuple[Said, Routes]] = []
    handle = router.reader.register_forward_pre_hook(lambda _, given: seen.append(given))
    for view in _views():
        with torch.inference_mode():
            score(router, lower, maker.make([view]))
        yield seen.pop()
    handle.remove()


@cache
def _services() -> tuple[Taxonomy, ...]:
    return read_services(SERVICES)


def _views() -> Iterator[View]:
    services = _services()[::SERVICES_APART]
    units = [unit for unit, _ in units_of(services)]
    whole = views_as_written(services, units, lambda example: example.language == ENGLISH, 0, EVERY_TURN)
    halves = list(in_halves(whole))
    examples = examples_of(halves, EXAMPLES)
    for number, view in enumerate(halves[::VIEWS_APART]):
        shown = with_texts(view, examples, examples) if number % 2 else view
        yield replace(shown, turns=view.turns[:1])
