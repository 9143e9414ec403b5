"""Step prompts: render routing prompts that quantisation calibrates on, because news text says nothing about routing.

The quantisation script reads a local folder as a data set: its split ``train``, column ``text``. It pads all prompts
to the longest and hands the padding to the model as if it were text, without a mask, so prompts of near equal length
are chosen. Read in ``tensorrt_llm/quantization/quantize_by_modelopt.py`` of TensorRT-LLM.
"""

import json
from pathlib import Path

from archrouter.bundles.loader import PromptBundle
from archrouter.bundles.writer import atomic_directory
from archrouter.domain.conversation import Conversation
from archrouter.domain.tokens import TokenIds
from archrouter.evaluation.dataset import DatasetError, read_dataset
from engine.program import BadInputError
from engine.settings import Quantization

PROMPTS_FILE = "train.jsonl"


def write_prompts(bundle: PromptBundle, records: Path, count: int, limits: Quantization, output: Path) -> None:
    """Render prompts of labelled turns whose lengths differ least; too few turns, or too unequal, are bad input."""
    prompts = [ids for ids in _prompts(bundle, records) if len(ids) <= limits.max_prompt_tokens]
    if not 1 <= count <= len(prompts):
        msg = (
            f"{records} has {len(prompts)} labelled turns of at most {limits.max_prompt_tokens} prompt tokens, "
            f"calibration takes {count}; give more records"
        )
        raise BadInputError(msg)
    chosen = most_alike(prompts, count)
    shortest, longest = len(chosen[0]), len(chosen[-1])
    if shortest < longest * (1 - limits.max_padding):
        msg = (
            f"the {count} prompts of {records} that are most alike in length have {shortest} to {longest} tokens: more "
            f"than {limits.max_padding:.0%} of the shortest would be padding, which the script calibrates on as if it "
            "were text; give more records, or records of more equal length"
        )
        raise BadInputError(msg)
    with atomic_directory(output) as scratch, (scratch / PROMPTS_FILE).open("w", encoding="utf-8") as file:
        for ids in chosen:
            file.write(json.dumps({"text": bundle.tokenizer.decode(ids)}, ensure_ascii=False) + "\n")


def most_alike(prompts: list[TokenIds], count: int) -> list[TokenIds]:
    """Choose ``count`` prompts, shortest first, of which the shortest has the largest share of the longest's length."""
    ordered = sorted(prompts, key=len)
    windows = range(len(ordered) - count + 1)
    start = max(windows, key=lambda first: len(ordered[first]) / len(ordered[first + count - 1]))
    return ordered[start : start + count]


def _prompts(bundle: PromptBundle, records: Path) -> list[TokenIds]:
    try:
        dataset = read_dataset(records)
    except DatasetError as error:
        raise BadInputError(str(error)) from error
    compiled = {name: bundle.compiler.compile(policy_set) for name, policy_set in dataset.policy_sets.items()}
    return [
        compiled[conversation.policy_set].assemble(Conversation.from_messages(conversation.prefix(label))).ids
        for conversation in dataset.conversations
        for label in conversation.labels
    ]
