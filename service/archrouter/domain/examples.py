"""A route's examples in the prompt of a language model: after its description, within tokens of their own.

Router weights were trained on descriptions alone, so examples are written as a continuation of one, in whole quoted
texts. A set without examples has the prompt it always had.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest

from archrouter.domain.policy import RoutePolicy

EXAMPLE_SHARE = 0.25
"""Of the tokens that the bare policies leave, what examples may take at most: the conversation needs the rest."""


_MARGIN_TOKENS = 4
"""For the punctuation around a text, and for what a tokenizer cuts otherwise where texts meet."""

_FOR, _AGAINST = "For example: ", "But not: "

_SENTENCE_ENDS = ".!?\u3002\uff01\uff1f"


def with_examples(
    routes: Sequence[RoutePolicy], count_tokens: Callable[[str], int], budget_tokens: int
) -> tuple[RoutePolicy, ...]:
    """Write examples into descriptions.

    Every route gets its first example before any gets its second, and of each an example before one of what it is not.

    Args:
        routes: Of a valid policy set.
        count_tokens: Counts the tokens of a text.
        budget_tokens: Tokens for all examples, >= 0; what does not fit is left out, a whole text each.

    Returns:
        The routes, those with examples under longer descriptions. O(total characters of the examples).
    """
    taken: list[tuple[list[str], list[str]]] = [([], []) for _ in routes]
    for is_for_routes, index, text in _in_turns(routes):
        texts = taken[index][0 if is_for_routes else 1]
        words = "" if texts else _FOR if is_for_routes else _AGAINST
        cost = count_tokens(words + _quoted(text)) + _MARGIN_TOKENS
        if cost <= budget_tokens:
            budget_tokens -= cost
            texts.append(text)
    return tuple(
        replace(route, description=_described(route.description, *of_route)) if any(of_route) else route
        for route, of_route in zip(routes, taken, strict=True)
    )


def _in_turns(routes: Sequence[RoutePolicy]) -> list[tuple[bool, int, str]]:
    columns = [
        column
        for index, route in enumerate(routes)
        for column in (
            [(True, index, text) for text in route.examples],
            [(False, index, text) for text in route.not_examples],
        )
    ]
    return [item for row in zip_longest(*columns) for item in row if item is not None]


def _described(description: str, examples: Sequence[str], not_examples: Sequence[str]) -> str:
    sentences = [description.strip()] if description.strip() else []
    if sentences and sentences[0][-1] not in _SENTENCE_ENDS:
        sentences[0] += "."
    for words, texts in ((_FOR, examples), (_AGAINST, not_examples)):
        if texts:
            sentences.append(words + "; ".join(map(_quoted, texts)) + ".")
    return " ".join(sentences)


def _quoted(text: str) -> str:
    return f'"{" ".join(text.split())}"'
