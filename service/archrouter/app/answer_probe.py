"""Asks a served language model sample questions, and reads how it writes its answers."""

from archrouter.adapters.bundle.loader import PromptBundle
from archrouter.application.probe_prompts import probe_requests
from archrouter.domain.skeleton_probe import SkeletonProbe, probe_skeleton
from archrouter.inference.generation import generate
from archrouter.inference.triton_client import TritonClient

_ANSWER_TOKENS = 48
_GENERATION_TIMEOUT_S = 120.0


async def probe_answers(connection: TritonClient, model: str, bundle: PromptBundle) -> SkeletonProbe:
    """Let a model answer the sample questions greedily.

    Args:
        connection: To any Triton with the language model's tensors: an engine, or ``reference_lm``.
        model: Its name there.
        bundle: Tokenizer and prompt of the weights it serves; its own skeleton is not used.

    Returns:
        The form most answers share.

    Raises:
        ArchRouterError: As for every call to Triton.
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
