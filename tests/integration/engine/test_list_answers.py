"""A Qwen3 checkpoint whose answers are lists, from its folder to a decision through a real Triton."""

import itertools
import math
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from archrouter.bundles.builder import REFERENCE_MODEL, BundleRequest, build_bundle
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.domain.answer import LIST_ANSWER
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.dialect import Dialect
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.scoring import ScoringRequest
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.language_model import LanguageModelBackend, scoring_inputs
from archrouter.inference.tensors import GENERATION_LOGITS, LANGUAGE_MODEL
from archrouter.inference.triton_client import TritonClient

TIMEOUT_S = 60.0
EXACT_TOLERANCE = 1e-5
"""Float32 logits of one runtime, added up in two orders."""

MODELS = (ModelTarget("m"),)
ROUTES = {"code": "writing code", "code_review": "judging code", "travel": "flights and hotels"}
POLICY_SET = PolicySet(
    "s", "", tuple(RoutePolicy(name, "", name, text, MODELS) for name, text in ROUTES.items()), MODELS
)


def talk(question_count: int) -> Conversation:
    """Make a conversation of so many questions, all but the last answered."""
    question, answer = Message(Role.USER, "please debug my python bug"), Message(Role.ASSISTANT, "Done.")
    return Conversation.from_messages((*(question, answer) * (question_count - 1), question))


@pytest.fixture(scope="module")
def successor(root: Path, tmp_path_factory: pytest.TempPathFactory) -> PromptBundle:
    """Build a bundle from the untrained Qwen3 checkpoint: nothing but the family says how it reads and answers."""
    checkpoint = root / "tests" / "data" / "tiny_successor"
    request = BundleRequest(
        checkpoint=checkpoint,
        output=tmp_path_factory.mktemp("successor") / "bundle",
        precision="fp32",
        exported=checkpoint / "onnx",
        prompt_template=root / "tests" / "data" / "golden" / "prompts" / "template_plano.txt",
        dialect=None,
        max_prompt_token_count=4096,
        model_repository=root / "model_repository",
        force=True,
    )
    return build_bundle(request, lambda _line: None)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def successor_endpoint(root: Path, successor: PromptBundle) -> AsyncIterator[str]:
    """Serve it from a real Triton and give its HOST:PORT."""
    parameters = {"model_directory": str(successor.model_directory), "model_version": successor.profile.model_version}
    triton = EmbeddedTriton(root / "model_repository", (EmbeddedModel(REFERENCE_MODEL, parameters),), 120.0)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()


def test_the_family_says_what_the_bundle_reads_and_answers(successor: PromptBundle) -> None:
    """Random weights agree on no form, so that of the family stands, and the manifest stores all of it."""
    manifest = load_bundle(successor.directory).manifest

    assert ("plano", 16, True) == (manifest.dialect, manifest.limits.max_message_count, manifest.skeleton.is_list)
    assert (Dialect.PLANO, LIST_ANSWER) == (successor.prompt_format.dialect, successor.prompt_format.skeleton)
    assert 3 == successor.compiler.compile(POLICY_SET).assemble(talk(10)).dropped_message_count


async def test_first_route_of_a_list_is_decided_as_brute_force_over_all_lists_does(
    successor: PromptBundle, successor_endpoint: str
) -> None:
    """Lists of up to two routes, scored row by row by the served model, one route's id beginning another's."""
    connection = TritonClient(successor_endpoint, max_concurrent_requests=1)
    backend = LanguageModelBackend(connection, REFERENCE_MODEL, successor, epsilon=0.0)
    await backend.warm_up(timeout_s=TIMEOUT_S)
    prompt = successor.compiler.compile(POLICY_SET).assemble(talk(2))
    rows: dict[tuple[int, ...], np.ndarray] = {}  # type: ignore[type-arg]  # float64 [V]

    async def row_after(path: tuple[int, ...]) -> np.ndarray:  # type: ignore[type-arg]  # float64 [V]
        if path not in rows:
            inputs = scoring_inputs(successor, prompt, path)
            result = await connection.infer(REFERENCE_MODEL, inputs, LANGUAGE_MODEL.outputs, timeout_s=TIMEOUT_S)
            rows[path] = result[GENERATION_LOGITS.name][0, 0, 0].astype(np.float64)
        return rows[path]

    names = list(ROUTES)
    lists = [(), *((name,) for name in names), *itertools.product(names, names)]
    inside = [", ".join(f'"{name}"' for name in each) for each in lists]
    answers = [(*successor.tokenizer.encode_text(f'{{"route": [{text}]}}'), successor.end_id) for text in inside]
    expected, longer = np.zeros(len(names) + 1), np.zeros(len(names) + 1)
    for each, answer in zip(lists, answers, strict=True):
        log_probability = 0.0
        for depth, token in enumerate(answer):
            allowed = {other[depth] for other in answers if other[:depth] == answer[:depth]}
            if len(allowed) > 1:
                row = await row_after(answer[:depth])
                log_probability += row[token] - math.log(sum(math.exp(row[one]) for one in allowed))
        owner = names.index(each[0]) if each else len(names)
        expected[owner] += math.exp(log_probability)
        longer[owner] += math.exp(log_probability) * (len(each) > 1)

    scoring = await backend.score(ScoringRequest(POLICY_SET, talk(2)), timeout_s=TIMEOUT_S)
    await connection.close()

    np.testing.assert_allclose(np.exp(scoring.posterior.log_probabilities), expected, atol=EXACT_TOLERANCE)
    winner = int(expected.argmax())
    assert pytest.approx(longer[winner] / expected[winner], abs=EXACT_TOLERANCE) == scoring.longer_list_mass
    assert 0.0 < scoring.longer_list_mass < 1.0
