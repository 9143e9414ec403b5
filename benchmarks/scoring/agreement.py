"""Do the service's decisions agree with greedy constrained decoding, and where not, why?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product

import numpy as np
from benchmarks.scoring.constrained import ConstrainedDecoding, decode
from benchmarks.scoring.engine import CALL_TIMEOUT_S, GENERATION_CACHE, SCORING_CACHE, Engine
from benchmarks.scoring.workload import Topics, make_conversation, make_policy_set

from archrouter.domain.answer import candidate_sequences
from archrouter.domain.conversation import Conversation
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.scoring import ScoringRequest
from archrouter.domain.tokens import TokenIds

ROUTE_COUNTS = (5, 15, 50)
TURN_COUNTS = (1, 4)

_POLICY_SEED = 1
_CONVERSATION_SEED = 1_000_000  # none of the conversations whose time is measured


@dataclass(frozen=True, slots=True)
class Comparison:
    """One prompt, decided by scoring and by an independent constrained decoder that asks for everything.

    Attributes:
        prompt: Its number.
        route_count: Routes of its policy set.
        turn_count: User messages.
        scored: Candidate that scoring puts first.
        greedy: Candidate at the end of the greedy constrained path.
        best: Candidate with the largest exact probability.
        greedy_probability: Exact probability of the greedy candidate.
        best_probability: Exact probability of the best candidate.
        largest_difference: Largest distance between scoring's probability of a candidate and the exact one.
        engine_call_count: Calls that scoring made.
        branch_count: Calls that asking for everything took.
    """

    prompt: int
    route_count: int
    turn_count: int
    scored: str
    greedy: str
    best: str
    greedy_probability: float
    best_probability: float
    largest_difference: float
    engine_call_count: int
    branch_count: int

    @property
    def greedy_is_best(self) -> bool:
        """Whether the greedy path ends at the posterior's maximum."""
        return self.greedy == self.best


async def compare(
    engine: Engine,
    topics: Topics,
    prompt_count: int,
    on_prompt: Callable[[], None],
    *,
    route_counts: Sequence[int] = ROUTE_COUNTS,
) -> tuple[Comparison, ...]:
    """Decide prompts both ways.

    Args:
        engine: The engine; either side has its own cache.
        topics: What to draw from.
        prompt_count: Prompts, spread evenly over the policy sets and lengths of conversation.
        on_prompt: Called after each.
        route_counts: Sizes of the policy sets.

    Returns:
        A comparison per prompt.
    """
    policy_sets = {count: make_policy_set(topics, count, seed=_POLICY_SEED) for count in route_counts}
    comparisons = []
    sizes = islice(cycle(product(route_counts, TURN_COUNTS)), prompt_count)
    for number, (route_count, turn_count) in enumerate(sizes):
        conversation = make_conversation(topics, turn_count, seed=_CONVERSATION_SEED + number)
        comparisons.append(await _compare(engine, policy_sets[route_count], conversation, number, turn_count))
        on_prompt()
    return tuple(comparisons)


async def _compare(
    engine: Engine, policy_set: PolicySet, conversation: Conversation, number: int, turn_count: int
) -> Comparison:
    request = ScoringRequest(policy_set, conversation)
    scoring = await engine.backends[SCORING_CACHE].score(request, timeout_s=CALL_TIMEOUT_S)
    exact = await _decode(engine, policy_set, conversation)
    names = [*(route.id for route in policy_set.routes), NO_MATCH_ID]
    scored, probabilities = np.exp(scoring.posterior.log_probabilities), np.exp(exact.log_probabilities)
    return Comparison(
        prompt=number,
        route_count=len(policy_set.routes),
        turn_count=turn_count,
        scored=names[int(scored.argmax())],
        greedy=names[exact.greedy],
        best=names[int(probabilities.argmax())],
        greedy_probability=float(probabilities[exact.greedy]),
        best_probability=float(probabilities.max()),
        largest_difference=float(np.abs(scored - probabilities).max()),
        engine_call_count=scoring.usage.engine_call_count,
        branch_count=exact.call_count,
    )


async def _decode(engine: Engine, policy_set: PolicySet, conversation: Conversation) -> ConstrainedDecoding:
    bundle = engine.bundle
    prompt = bundle.compiler.compile(policy_set).assemble(conversation)
    sequences: tuple[TokenIds, ...] = candidate_sequences(
        policy_set, bundle.prompt_format.skeleton, bundle.tokenizer, bundle.end_id
    )
    return await decode(sequences, lambda path: engine.next_token_logits(GENERATION_CACHE, prompt, path))
