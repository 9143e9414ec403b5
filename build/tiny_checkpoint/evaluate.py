"""What the checkpoint gets right on conversations it never saw, against chance."""

from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

from tiny_checkpoint.corpus import HELDOUT_SEED, Example, World, make_example
from tiny_checkpoint.prompt import answer, chat_prompt
from tiny_checkpoint.tokenizer import TURN_END_TOKEN


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy on held-out toy conversations.

    Attributes:
        example_count: Conversations scored.
        accuracy: Share whose most likely candidate is right, each candidate scored by its whole answer.
        chance: Expected accuracy of a uniform choice among the candidates.
        most_frequent: Accuracy of always answering ``other``.
    """

    example_count: int
    accuracy: float
    chance: float
    most_frequent: float


def heldout_examples(world: World, count: int) -> list[Example]:
    """Draw the held-out examples, the same ones every time."""
    random = Random(HELDOUT_SEED)  # noqa: S311 - reproducible data, not a secret
    return [make_example(world, random, heldout=True) for _ in range(count)]


def evaluate(model: Qwen2ForCausalLM, tokenizer: Tokenizer, examples: list[Example]) -> Evaluation:
    """Score every candidate of every example and count the right choices.

    Args:
        model: In evaluation mode.
        tokenizer: Its tokenizer.
        examples: At least one.

    Returns:
        The accuracy and its two baselines.
    """
    right_count = sum(most_likely(model, tokenizer, example) == example.route_name for example in examples)
    count = len(examples)
    return Evaluation(
        example_count=count,
        accuracy=right_count / count,
        chance=sum(1 / len(example.candidate_names) for example in examples) / count,
        most_frequent=sum(example.route_name == "other" for example in examples) / count,
    )


def most_likely(model: Qwen2ForCausalLM, tokenizer: Tokenizer, example: Example) -> str:
    """Return the candidate whose whole answer has the highest log-likelihood."""
    prompt = tokenizer.encode(chat_prompt(example.routes, example.conversation), add_special_tokens=False).ids
    names = example.candidate_names
    answers = [tokenizer.encode(answer(name) + TURN_END_TOKEN, add_special_tokens=False).ids for name in names]
    width = max(map(len, answers))
    input_ids = torch.tensor([prompt + reply + [0] * (width - len(reply)) for reply in answers])
    with torch.inference_mode():
        log_probs = model(input_ids=input_ids, logits_to_keep=width + 1).logits.log_softmax(-1)
    scores = [
        sum(float(log_probs[row, position, token]) for position, token in enumerate(reply))
        for row, reply in enumerate(answers)
    ]
    return names[max(range(len(names)), key=scores.__getitem__)]
