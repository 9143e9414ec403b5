"""Reads the answer skeleton off served weights: which quotes and spaces they really write.

The prompt asks for ``{"route": "name"}``, or for a list of names; weights in the wild also answer
``{'route': 'name'}``. Scoring needs the form the model itself would choose, so it is measured on greedy generations
when a bundle is built.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.answer import LIST_SEPARATOR, AnswerSkeleton, Quoting
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.inference.generation import generate
from archrouter.inference.triton_client import TritonClient

MIN_AGREEMENT = 0.8
"""Below this share of agreeing answers no one form can be trusted."""

_ANSWER_TOKENS = 48
_GENERATION_TIMEOUT_S = 120.0

# Easy questions: only the form of their answers matters.
_ROUTES = (
    ("bug_fixing", "finding and fixing a bug"),
    ("book_flight", "plane tickets and airports"),
    ("weather_forecast", "weather of today and the next days"),
    ("recipe_ideas", "cooking a meal and its recipe"),
    ("play_music", "songs, artists and playlists"),
)
_TURNS = (
    "debug this python crash",
    "find me a flight to Rome next week",
    "will it rain tomorrow?",
    "how do I cook lentil soup",
    "play some jazz",
    "my program throws an exception, fix it",
    "which airport is closest to Oslo",
    "weather for the weekend",
    "a recipe for bread please",
    "put on my favourite album",
)

_KEY = r"\{\s*(?P<key>[\"'])route(?P=key)\s*:\s*"
_IDS = r"[\"'].*[\"']"
_ONE = re.compile(rf"(?P<prefix>{_KEY})(?P<ids>{_IDS})(?P<suffix>\s*\}})", re.DOTALL)
_LIST = re.compile(rf"(?P<prefix>{_KEY}\[\s*)(?P<ids>(?:{_IDS})?)(?P<suffix>\s*\]\s*\}})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SkeletonProbe:
    """What the probes say.

    Attributes:
        skeleton: The most frequent form; None when no answer had any.
        agreement: Share in [0, 1] of all answers that had this form.
        answer_count: Number of answers looked at.
    """

    skeleton: AnswerSkeleton | None
    agreement: float
    answer_count: int

    @property
    def is_trustworthy(self) -> bool:
        """Whether enough answers agree."""
        return self.skeleton is not None and self.agreement >= MIN_AGREEMENT


async def probe_answers(connection: TritonClient, model: str, bundle: PromptBundle) -> SkeletonProbe:
    """Let a model, a TensorRT engine or ``reference_lm``, answer the sample questions greedily; find their usual form.

    The bundle gives tokenizer and prompt; its own skeleton is not used.
    """
    answers = []
    for policy_set, conversation in probe_requests():
        prompt = bundle.compiler.compile(policy_set).assemble(conversation)
        generated = await generate(
            connection,
            model,
            prompt.ids,
            end_id=bundle.end_id,
            pad_id=bundle.pad_id,
            max_token_count=_ANSWER_TOKENS,
            timeout_s=_GENERATION_TIMEOUT_S,
        )
        answers.append(bundle.tokenizer.decode(generated))
    return probe_skeleton(answers)


def probe_requests() -> Iterator[tuple[PolicySet, Conversation]]:
    """Yield each of the turns alone and after another one, with a policy set of rotated routes."""
    for index, turn in enumerate(_TURNS):
        rotation = index % len(_ROUTES)
        routes = tuple(
            RoutePolicy(route_id, "", route_id, description, ())
            for route_id, description in (*_ROUTES[rotation:], *_ROUTES[:rotation])
        )
        policy_set = PolicySet(f"probe-{rotation}", "", routes, ())
        yield policy_set, Conversation.from_messages((Message(Role.USER, turn),))
        earlier = (Message(Role.USER, _TURNS[index - 1]), Message(Role.ASSISTANT, "Done."), Message(Role.USER, turn))
        yield policy_set, Conversation.from_messages(earlier)


def probe_skeleton(answers: Sequence[str]) -> SkeletonProbe:
    """Find the form most answers, at least one, share; of two equally frequent forms the one seen first."""
    if not answers:
        msg = "no answer to read the skeleton from; generate at least one"
        raise ValueError(msg)
    forms = [form for answer in answers if (form := _form_of(answer)) is not None]
    if not forms:
        return SkeletonProbe(None, 0.0, len(answers))
    # JSON with and without escapes is one form until a character outside ASCII tells them apart.
    quotings = [quoting for answer in answers if (quoting := _json_quoting_of(answer)) is not None]
    json_quoting = Counter(quotings).most_common(1)[0][0] if quotings else Quoting.JSON_ASCII
    (most, is_python), count = Counter(forms).most_common(1)[0]
    skeleton = replace(most, quoting=Quoting.PYTHON if is_python else json_quoting)
    return SkeletonProbe(skeleton, count / len(answers), len(answers))


def _form_of(answer: str) -> tuple[AnswerSkeleton, bool] | None:
    """Read the form of an answer but for its quoting, and whether the ids are Python literals."""
    one, many = _ONE.fullmatch(answer.strip()), _LIST.fullmatch(answer.strip())
    match = one or many
    if match is None:
        return None
    try:
        value = ast.literal_eval(f"[{match['ids']}]")  # literals, never code
    except (SyntaxError, ValueError):
        return None
    is_list = one is None
    if not all(isinstance(route_id, str) for route_id in value) or (len(value) != 1 and not is_list):
        return None
    if len(value) > 1 and not re.search(rf"[\"']{LIST_SEPARATOR}[\"']", match["ids"]):
        return None
    return AnswerSkeleton(match["prefix"], match["suffix"], is_list=is_list), "'" in match["prefix"]


def _json_quoting_of(answer: str) -> Quoting | None:
    if not answer.isascii():
        return Quoting.JSON_UTF8
    return Quoting.JSON_ASCII if "\\u" in answer else None
