"""Golden examples: held-out conversations with the tokens and the log-probabilities that torch computes in float32."""

import torch
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

from tiny_checkpoint.corpus import Example
from tiny_checkpoint.prompt import answer, chat_prompt

LOG_PROB_DIGITS = 6


def golden_examples(model: Qwen2ForCausalLM, tokenizer: Tokenizer, examples: list[Example]) -> list[dict[str, object]]:
    """Describe what the model makes of each example.

    Args:
        model: In evaluation mode, computing in float32.
        tokenizer: Its tokenizer.
        examples: What to run.

    Returns:
        Per example the policy set, the conversation, the right route, the prompt's token ids, and per candidate the
        token ids of its answer with the natural-log probability of each over the full vocabulary.
    """
    return [_golden_example(model, tokenizer, example) for example in examples]


def _golden_example(model: Qwen2ForCausalLM, tokenizer: Tokenizer, example: Example) -> dict[str, object]:
    """Run one example, each candidate on its own so that no padding takes part."""
    prompt = tokenizer.encode(chat_prompt(example.routes, example.conversation), add_special_tokens=False).ids
    candidates = {}
    for name in example.candidate_names:
        reply = tokenizer.encode(answer(name), add_special_tokens=False).ids
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + reply]), logits_to_keep=len(reply) + 1).logits[0, :-1]
        log_probs = logits.log_softmax(-1)[torch.arange(len(reply)), torch.tensor(reply)]
        candidates[name] = {
            "token_ids": reply,
            "log_probs": [round(value, LOG_PROB_DIGITS) for value in log_probs.tolist()],
        }
    return {
        "routes": [{"name": route.name, "description": route.description} for route in example.routes],
        "conversation": [{"role": message.role, "content": message.content} for message in example.conversation],
        "route": example.route_name,
        "prompt_token_ids": prompt,
        "candidates": candidates,
    }
