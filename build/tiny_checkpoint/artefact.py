"""The checkpoint as a directory: what a hub would hold, the prompt, the golden examples and the ONNX export."""

import json
from dataclasses import asdict
from pathlib import Path
from string import Template

import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen2ForCausalLM

from tiny_checkpoint.corpus import World
from tiny_checkpoint.evaluate import Evaluation, heldout_examples
from tiny_checkpoint.golden import golden_examples
from tiny_checkpoint.model import MAX_TOKENS
from tiny_checkpoint.prompt import (
    CHAT_TEMPLATE,
    FORMAT_PROMPT,
    PROMPT_TEMPLATE,
    TASK_INSTRUCTION,
    chat_prompt,
    user_prompt,
)
from tiny_checkpoint.tokenizer import PAD_TOKEN, SPECIAL_TOKENS, TURN_END_TOKEN

CARD_TEMPLATE = Path(__file__).with_name("card_template.md")
ONNX_FOLDER = "onnx"
GOLDEN_EXAMPLE_COUNT = 16


def write_checkpoint(
    model: Qwen2ForCausalLM, tokenizer: Tokenizer, world: World, evaluation: Evaluation, directory: Path
) -> None:
    """Write everything but the ONNX export.

    Args:
        model: Trained, rounded to bfloat16, computing in float32.
        tokenizer: Its tokenizer.
        world: The topics, for the golden examples.
        evaluation: The accuracy to state in the card.
        directory: Created where it is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    golden = golden_examples(model, tokenizer, heldout_examples(world, GOLDEN_EXAMPLE_COUNT))
    lines = "".join(json.dumps(example) + "\n" for example in golden)
    (directory / "golden.jsonl").write_text(lines, encoding="utf-8")
    _write_json(directory / "evaluation.json", asdict(evaluation))
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    _write_json(directory / "tokenizer_config.json", tokenizer_config(tokenizer))
    (directory / "prompt_template.txt").write_text(PROMPT_TEMPLATE, encoding="utf-8")
    (directory / "README.md").write_text(card(evaluation, model.num_parameters()), encoding="utf-8")
    model.to(torch.bfloat16).save_pretrained(directory)


def card(evaluation: Evaluation, parameter_count: int) -> str:
    """Fill the model card."""
    return Template(CARD_TEMPLATE.read_text(encoding="utf-8")).substitute(
        task_instruction=TASK_INSTRUCTION,
        format_prompt=FORMAT_PROMPT,
        parameter_count=f"{parameter_count:,}",
        example_count=evaluation.example_count,
        accuracy=f"{evaluation.accuracy:.1%}",
        chance=f"{evaluation.chance:.1%}",
        most_frequent=f"{evaluation.most_frequent:.1%}",
    )


def tokenizer_config(tokenizer: Tokenizer) -> dict[str, object]:
    """Return tokenizer_config.json, with the keys of Qwen2's own."""
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token in SPECIAL_TOKENS
        },
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": TURN_END_TOKEN,
        "errors": "replace",
        "model_max_length": MAX_TOKENS,
        "pad_token": PAD_TOKEN,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def check_with_transformers(directory: Path, world: World) -> None:
    """Check that the library which others will open the directory with sees the prompts of the training.

    Args:
        directory: A written checkpoint.
        world: The topics.

    Raises:
        ValueError: The chat template or the tokenizer gives another text or other tokens.
    """
    reader = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    writer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    for example in heldout_examples(world, GOLDEN_EXAMPLE_COUNT):
        messages = [{"role": "user", "content": user_prompt(example.routes, example.conversation)}]
        text = reader.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        expected = chat_prompt(example.routes, example.conversation)
        if text != expected or reader(text)["input_ids"] != writer.encode(expected, add_special_tokens=False).ids:
            message = f"transformers reads another prompt from {directory.name} than the training wrote: {text!r}"
            raise ValueError(message)


def _write_json(path: Path, value: object) -> None:
    """Write JSON line by line, so that a change shows in a diff."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
