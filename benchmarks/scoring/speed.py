"""Time per decision, both ways, with and without reuse of the prompt's beginning, in turns on the same prompts."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from benchmarks.scoring.engine import CALL_TIMEOUT_S, GENERATION_CACHE, NO_CACHE, SCORING_CACHE, Engine
from benchmarks.scoring.generation import parse_answer
from benchmarks.scoring.workload import Topics, make_conversation, make_policy_set

from archrouter.domain.answer import candidate_sequences
from archrouter.domain.conversation import Conversation
from archrouter.domain.policy import PolicySet
from archrouter.domain.prompt import CompiledPrompt
from archrouter.domain.scoring import Scoring, ScoringRequest
from archrouter.domain.tokens import TokenIds

_POLICY_SEED = 1


class Way(Enum):
    """How a decision is made."""

    GENERATE = "generate and parse"
    SCORE = "score"


class Reuse(Enum):
    """What of the prompt the engine has computed before."""

    NONE = "nothing"
    POLICIES = "policies"
    """The call before had the same policies and another conversation."""
    DIALOGUE = "policies and dialogue"
    """The call before was about the same conversation one turn earlier."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way with a reuse."""

    way: Way
    reuse: Reuse

    @property
    def model(self) -> str:
        """The Triton model that has the right cache for it."""
        if self.reuse is Reuse.NONE:
            return NO_CACHE
        return SCORING_CACHE if self.way is Way.SCORE else GENERATION_CACHE


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed decision.

    Attributes:
        method: How it was made.
        prompt: Number of the conversation; methods with equal numbers had the same prompt.
        duration_s: From the conversation to the route, tokenising and parsing included.
        engine_call_count: Calls to Triton.
        cached_token_count: Prompt tokens whose computation was reused, as the engine says.
        outcome: What must not depend on the reuse: the candidates' log-probabilities, or the generated tokens.
    """

    method: Method
    prompt: int
    duration_s: float
    engine_call_count: int
    cached_token_count: int
    outcome: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """All samples of one policy set and one length of conversation.

    Attributes:
        route_count: Routes of the policy set.
        turn_count: User messages of each conversation.
        policy_token_count: Tokens of the prompt before the conversation.
        prompt_token_counts: Of each prompt.
        answer_token_counts: Tokens generated for each prompt, end token included.
        branch_count: Places where the candidates' answers part: engine calls a decision can need at most.
        samples: In the order in which they were taken.
    """

    route_count: int
    turn_count: int
    policy_token_count: int
    prompt_token_counts: tuple[int, ...]
    answer_token_counts: tuple[int, ...]
    branch_count: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        decision_count: Prompts in each cell, the same for every method.
        method_budget_s: A method that has used this much time in a cell is not measured on the cell's other prompts.
    """

    decision_count: int
    method_budget_s: float


class CellBench:
    """Measures one cell."""

    def __init__(self, engine: Engine, topics: Topics, route_count: int, turn_count: int) -> None:
        """Draw the policy set and compile it; that is done once per policy set, so it is not timed."""
        self._engine = engine
        self._topics = topics
        self._turn_count = turn_count
        self._policy_set: PolicySet = make_policy_set(topics, route_count, seed=_POLICY_SEED)
        bundle = engine.bundle
        self._compiled: CompiledPrompt = bundle.compiler.compile(self._policy_set)
        self._sequences: tuple[TokenIds, ...] = candidate_sequences(
            self._policy_set, bundle.prompt_format.skeleton, bundle.tokenizer, bundle.end_id
        )

    async def run(self, plan: Plan, on_decision: Callable[[], None]) -> Cell:
        """Measure every method on every prompt.

        Args:
            plan: How much.
            on_decision: Called after each prompt.

        Returns:
            The samples.
        """
        conversations = [
            make_conversation(self._topics, self._turn_count, seed=seed) for seed in range(plan.decision_count)
        ]
        answers = await self._warm_up(conversations, make_conversation(self._topics, self._turn_count, seed=-1))
        spent_s: dict[Method, float] = defaultdict(float)
        samples: list[Sample] = []
        for number, (conversation, answer_tokens) in enumerate(zip(conversations, answers, strict=True)):
            for method in self._methods(number):
                if spent_s[method] < plan.method_budget_s:
                    sample = await self._sample(method, number, conversation, answer_tokens)
                    spent_s[method] += sample.duration_s
                    samples.append(sample)
            on_decision()
        return Cell(
            route_count=len(self._policy_set.routes),
            turn_count=self._turn_count,
            policy_token_count=len(self._compiled.prefix_ids),
            prompt_token_counts=tuple(len(self._compiled.assemble(each).ids) for each in conversations),
            answer_token_counts=tuple(answers),
            branch_count=len(self._compiled.trie.branches),
            samples=tuple(samples),
        )

    def _methods(self, number: int) -> list[Method]:
        """List the methods, the two ways in alternating order.

        The reuse of policies comes before that of the dialogue, which leaves the conversation in the cache.
        """
        ways = list(Way) if number % 2 else list(Way)[::-1]
        reuses = list(Reuse) if self._turn_count > 1 else [Reuse.NONE, Reuse.POLICIES]
        return [Method(way, reuse) for reuse in reuses for way in ways]

    async def _warm_up(self, conversations: list[Conversation], other: Conversation) -> list[int]:
        """Find how long the answer to each prompt is, and leave a conversation in the caches that is not measured.

        A random model never ends its answer, so the answer's length is that of the candidate that scoring chose, end
        token included: what the same decision costs a model that writes its answer correctly.
        """
        scored = [await self._score(SCORING_CACHE, each) for each in conversations]
        await self._score(SCORING_CACHE, other)
        await self._engine.generate(GENERATION_CACHE, self._compiled.assemble(other), 1)
        return [len(self._sequences[int(np.argmax(scoring.posterior.log_probabilities))]) for scoring in scored]

    async def _sample(self, method: Method, number: int, conversation: Conversation, answer_tokens: int) -> Sample:
        if method.reuse is Reuse.DIALOGUE:
            await self._route_turn_before(method, conversation)
        started_s = time.perf_counter()
        if method.way is Way.SCORE:
            scoring = await self._score(method.model, conversation)
            duration_s = time.perf_counter() - started_s
            calls, cached = scoring.usage.engine_call_count, scoring.usage.cached_token_count
            outcome = tuple(scoring.posterior.log_probabilities.tolist())
        else:
            prompt = self._compiled.assemble(conversation)
            answer = await self._engine.generate(method.model, prompt, answer_tokens)
            parse_answer(self._engine.bundle.tokenizer.decode(answer.tokens))
            duration_s = time.perf_counter() - started_s
            calls, cached = 1, answer.cached_token_count
            outcome = tuple(map(float, answer.tokens))
        return Sample(method, number, duration_s, calls, cached, outcome)

    async def _route_turn_before(self, method: Method, conversation: Conversation) -> None:
        """Leave in the cache what deciding on the user message before this one would have left there."""
        earlier = Conversation.from_messages(conversation.messages[:-2])
        if method.way is Way.SCORE:
            await self._score(method.model, earlier)
        else:
            await self._engine.generate(method.model, self._compiled.assemble(earlier), 1)

    async def _score(self, model: str, conversation: Conversation) -> Scoring:
        request = ScoringRequest(self._policy_set, conversation)
        return await self._engine.backends[model].score(request, timeout_s=CALL_TIMEOUT_S)
