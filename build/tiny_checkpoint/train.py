"""Training on the CPU: next-token loss over the prompt, weighted towards the answer."""

import math
import sys
import time
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import Qwen2ForCausalLM

from tiny_checkpoint.corpus import MIN_ROUTE_COUNT, Example, World, make_example
from tiny_checkpoint.prompt import answer, chat_prompt
from tiny_checkpoint.tokenizer import TURN_END_TOKEN

# The prompt's own loss teaches the words and the habit of copying; the answer's is what the checkpoint is for.
PROMPT_LOSS_WEIGHT = 0.1
IGNORED_LABEL = -100
WARM_UP_SHARE = 0.05
FINAL_LEARNING_RATE_SHARE = 0.05
# Policy sets grow from two routes to five over the first part of the run: copying is learned sooner on short prompts.
CURRICULUM_SHARE = 0.3
REPORT_EVERY_STEPS = 50


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long and how fast to train.

    Attributes:
        seed: Of torch and of the examples.
        step_count: Optimiser steps.
        batch_size: Examples per step.
        learning_rate: The peak of a warm-up followed by a cosine decay.
        max_route_count: The most routes in a policy set at the end of the curriculum.
    """

    seed: int = 20
    step_count: int = 2000
    batch_size: int = 16
    learning_rate: float = 3e-3
    max_route_count: int = 5


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded token ids and where the answers are.

    Attributes:
        input_ids: Int64 ``[examples, tokens]``.
        attention_mask: Int64 ``[examples, tokens]``, 0 on padding.
        answer_mask: Bool ``[examples, tokens]``, true on the answer's tokens.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    answer_mask: torch.Tensor


def training_text(example: Example) -> tuple[str, str]:
    """Return the prompt and the answer with its end-of-turn token."""
    return chat_prompt(example.routes, example.conversation), answer(example.route_name) + TURN_END_TOKEN


def make_batch(tokenizer: Tokenizer, examples: list[Example]) -> Batch:
    """Tokenise examples into one right-padded batch.

    Args:
        tokenizer: The trained tokenizer.
        examples: At least one.

    Returns:
        The batch.
    """
    pairs = [training_text(example) for example in examples]
    prompts = [tokenizer.encode(prompt, add_special_tokens=False).ids for prompt, _ in pairs]
    answers = [tokenizer.encode(reply, add_special_tokens=False).ids for _, reply in pairs]
    width = max(len(prompt) + len(reply) for prompt, reply in zip(prompts, answers, strict=True))
    input_ids = torch.zeros(len(examples), width, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    answer_mask = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, (prompt, reply) in enumerate(zip(prompts, answers, strict=True)):
        end = len(prompt) + len(reply)
        input_ids[row, :end] = torch.tensor(prompt + reply)
        attention_mask[row, :end] = 1
        answer_mask[row, len(prompt) : end] = True
    return Batch(input_ids, attention_mask, answer_mask)


def batch_loss(model: Qwen2ForCausalLM, batch: Batch) -> torch.Tensor:
    """Return the answer's mean loss plus the prompt's, weighted (a float32 scalar, natural log)."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[:, :-1].flatten(0, 1)
    targets = batch.input_ids[:, 1:]
    answer_targets = targets.masked_fill(~batch.answer_mask[:, 1:], IGNORED_LABEL).flatten()
    is_prompt = batch.attention_mask[:, 1:].bool() & ~batch.answer_mask[:, 1:]
    prompt_targets = targets.masked_fill(~is_prompt, IGNORED_LABEL).flatten()
    answer_loss = cross_entropy(logits, answer_targets, ignore_index=IGNORED_LABEL)
    prompt_loss = cross_entropy(logits, prompt_targets, ignore_index=IGNORED_LABEL)
    return answer_loss + PROMPT_LOSS_WEIGHT * prompt_loss


def train(model: Qwen2ForCausalLM, tokenizer: Tokenizer, world: World, plan: TrainingPlan) -> None:
    """Train in place.

    Args:
        model: The untrained model.
        tokenizer: Its tokenizer.
        world: The topics to make examples of; held-out sentences are never used.
        plan: Seeds and lengths.
    """
    random = Random(plan.seed)  # noqa: S311 - reproducible data, not a secret
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, plan.step_count))
    model.train()
    start_s = time.monotonic()
    for step in range(plan.step_count):
        route_count = curriculum_route_count(step, plan)
        examples = [
            make_example(world, random, heldout=False, max_route_count=route_count) for _ in range(plan.batch_size)
        ]
        loss = batch_loss(model, make_batch(tokenizer, examples))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % REPORT_EVERY_STEPS == 0:
            elapsed_s = time.monotonic() - start_s
            sys.stderr.write(f"step {step + 1}/{plan.step_count} loss {loss.item():.3f} after {elapsed_s:.0f} s\n")
    model.eval()


def learning_rate_share(step: int, step_count: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then cosine decay."""
    warm_up_steps = max(1, int(step_count * WARM_UP_SHARE))
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    progress = (step - warm_up_steps) / max(1, step_count - warm_up_steps)
    return FINAL_LEARNING_RATE_SHARE + (1 - FINAL_LEARNING_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))


def curriculum_route_count(step: int, plan: TrainingPlan) -> int:
    """Return the most routes a policy set may have at a step."""
    progress = step / (plan.step_count * CURRICULUM_SHARE)
    growth = int(progress * (plan.max_route_count - MIN_ROUTE_COUNT + 1))
    return min(plan.max_route_count, MIN_ROUTE_COUNT + growth)
