"""Does the endpoint say what its checkpoint says?"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.answer import candidate_sequences, longer_sequences
from archrouter.domain.conversation import Conversation
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.domain.tokens import TokenIds
from archrouter.inference.language_model import LanguageModelBackend
from engine.verify.endpoint import Endpoint
from engine.verify.questions import Question
from engine.verify.report import QUANTILE, Check, Thresholds

PROMPT_TOKENS, ROUTE, PROBABILITY = "prompt_tokens", "route_agreement", "probability_difference"

_WORST_COUNT = 5


class Oracle(Protocol):
    """What the endpoint should compute."""

    def prompt_tokens(self, message: str) -> TokenIds:
        """Tokenise a user message inside the checkpoint's chat template, assistant header included."""

    def answer_log_probabilities(self, prompt: TokenIds, answers: Sequence[TokenIds]) -> list[list[float]]:
        """Return for each answer the natural-log probability of each token after a prompt, over the vocabulary."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question, answered by both."""

    question: str
    endpoint_route: str
    oracle_route: str
    difference: float
    dropped_token_count: int


def check_prompt_tokens(bundle: PromptBundle, oracle: Oracle, questions: Sequence[Question]) -> Check:
    """Compare the ids the service sends with those of the checkpoint's own tokenizer and chat template."""
    different, count = [], 0
    for question in questions:
        conversation = question.request.conversation
        prompt = bundle.compiler.compile(question.policy_set).assemble(conversation)
        if prompt.dropped_token_count:
            continue
        count += 1
        if oracle.prompt_tokens(_user_message(bundle, question, conversation)) != prompt.ids:
            different.append(question.name)
    return Check.of(
        PROMPT_TOKENS,
        f"{len(different)} of {count} prompts differ" + (f", first: {different[0]}" if different else ""),
        limit="0 prompts differ from the checkpoint's tokenizer and chat template",
        passed=not different,
        remedy="build the bundle from this checkpoint: its tokenizer or chat template is another one",
        figures={"different": different, "compared": count},
    )


async def compare(
    endpoint: Endpoint, oracle: Oracle, questions: Sequence[Question], on_done: Callable[[int], None]
) -> list[Comparison]:
    """Put every question to both."""
    # Every subtree is asked for: the service's shortcut is bounded by its epsilon and has tests of its own.
    backend = LanguageModelBackend(endpoint.connection, endpoint.model, endpoint.bundle, epsilon=0.0)
    await backend.warm_up(timeout_s=endpoint.call_timeout_s)
    comparisons = []
    for question in questions:
        comparisons.append(await _compare(backend, endpoint, oracle, question))
        on_done(len(comparisons))
    return comparisons


def check_agreement(comparisons: Sequence[Comparison], thresholds: Thresholds) -> tuple[Check, Check]:
    """Judge the comparisons."""
    count = len(comparisons)
    worst = sorted(comparisons, key=lambda one: -one.difference)[:_WORST_COUNT]
    other = [one for one in comparisons if one.endpoint_route != one.oracle_route]
    share = 1 - len(other) / count
    bound = float(np.quantile([one.difference for one in comparisons], QUANTILE))
    remedy = "compare checkpoint, precision and TensorRT engine: other weights, or a precision that costs too much"
    return (
        Check.of(
            ROUTE,
            f"{count - len(other)} of {count} questions ({share:.1%})",
            limit=f"at least {thresholds.min_route_agreement:.1%} choose the oracle's route",
            passed=share >= thresholds.min_route_agreement,
            remedy=remedy,
            figures={"share": share, "questions": count, "different": [asdict(one) for one in other]},
        ),
        Check.of(
            PROBABILITY,
            f"{bound:.2g} for {QUANTILE:.0%} of {count} questions, {worst[0].difference:.2g} at most",
            limit=f"{QUANTILE:.0%} of the questions at most {thresholds.max_probability_difference:g} off the oracle",
            passed=bound <= thresholds.max_probability_difference,
            remedy=remedy,
            figures={
                "quantile": bound,
                "largest": worst[0].difference,
                "mean_of_largest": sum(one.difference for one in comparisons) / count,
                "shortened_questions": sum(one.dropped_token_count > 0 for one in comparisons),
                "worst": [asdict(one) for one in worst],
            },
        ),
    )


async def _compare(backend: LanguageModelBackend, endpoint: Endpoint, oracle: Oracle, question: Question) -> Comparison:
    bundle, request = endpoint.bundle, question.request
    # What is compared is what the service sees: prefixes come from the cache, where they were put by a first call.
    await backend.score(request, timeout_s=endpoint.call_timeout_s)
    scoring = await backend.score(request, timeout_s=endpoint.call_timeout_s)
    prompt = bundle.compiler.compile(question.policy_set).assemble(request.conversation)
    answer_form = (question.policy_set, bundle.prompt_format.skeleton, bundle.tokenizer, bundle.end_id)
    answers = (*candidate_sequences(*answer_form), *longer_sequences(*answer_form))
    log_probs = await asyncio.to_thread(oracle.answer_log_probabilities, prompt.ids, answers)
    found = np.exp(scoring.posterior.log_probabilities)
    names = [*(route.id for route in question.policy_set.routes), NO_MATCH_ID]
    # A list that goes on counts for its first route.
    owners = np.arange(len(answers)) % len(names)
    expected = np.bincount(owners, constrained_probabilities(answers, log_probs))
    return Comparison(
        question=question.name,
        endpoint_route=names[int(found.argmax())],
        oracle_route=names[int(expected.argmax())],
        difference=float(np.abs(found - expected).max()),
        dropped_token_count=prompt.dropped_token_count,
    )


def _user_message(bundle: PromptBundle, question: Question, conversation: Conversation) -> str:
    """Write the prompt as the one user message the chat template is put around."""
    written = bundle.prompt_format.segments(question.policy_set.routes, conversation.messages)
    text = "".join(segment.text for segment in written)
    return text.removeprefix(bundle.prompt_format.chat_head).removesuffix(bundle.prompt_format.chat_tail)


def constrained_probabilities(answers: Sequence[TokenIds], log_probs: Sequence[Sequence[float]]) -> list[float]:
    """Renormalise full-vocabulary log-probabilities at every step over the tokens some answer goes on with.

    Brute force, to check the trie: it shares no code and no idea with `archrouter.domain.trie`. Of each answer, none of
    which is the beginning of another, it takes the natural-log probability of each token after those before it.
    """
    probabilities = []
    for own, answer in enumerate(answers):
        total = 0.0
        for position in range(len(answer)):
            siblings = {
                other[position]: log_probs[index][position]
                for index, other in enumerate(answers)
                if len(other) > position and other[:position] == answer[:position]
            }
            highest = max(siblings.values())
            mass = sum(math.exp(value - highest) for value in siblings.values())
            total += log_probs[own][position] - highest - math.log(mass)
        probabilities.append(math.exp(total))
    return probabilities
