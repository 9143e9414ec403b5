"""Make the tiny checkpoint, or measure the one that is there."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

from tiny_checkpoint import artefact
from tiny_checkpoint.corpus import World, load_world, make_example
from tiny_checkpoint.evaluate import Evaluation, evaluate, heldout_examples
from tiny_checkpoint.model import make_model, round_to_bfloat16
from tiny_checkpoint.onnx_export import export
from tiny_checkpoint.tokenizer import train_tokenizer
from tiny_checkpoint.train import TrainingPlan, train, training_text

TOKENIZER_SEED = 5
TOKENIZER_EXAMPLE_COUNT = 3000
EVALUATION_EXAMPLE_COUNT = 500


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tiny_checkpoint", description=__doc__)
    parser.add_argument("action", choices=("make", "export", "evaluate"))
    parser.add_argument("directory", type=Path, help="the checkpoint's folder")
    parser.add_argument(
        "--steps", type=int, default=TrainingPlan().step_count, help="optimiser steps (default: %(default)s)"
    )
    arguments = parser.parse_args()
    # One thread and deterministic kernels: the same machine gives the same weights again.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    world = load_world()
    if arguments.action == "make":
        make(world, TrainingPlan(step_count=arguments.steps), arguments.directory)
    if arguments.action in ("make", "export"):
        export(arguments.directory, arguments.directory / artefact.ONNX_FOLDER)
    print(json.dumps(measure(world, arguments.directory), indent=1))


def make(world: World, plan: TrainingPlan, directory: Path) -> None:
    """Train the tokenizer and the model and write the checkpoint.

    Args:
        world: The topics.
        plan: Seeds and lengths.
        directory: Where to write.
    """
    random = Random(TOKENIZER_SEED)  # noqa: S311  # reproducible data, not a secret
    texts = ("".join(training_text(make_example(world, random, heldout=False))) for _ in range(TOKENIZER_EXAMPLE_COUNT))
    tokenizer = train_tokenizer(texts)
    torch.manual_seed(plan.seed)
    model = make_model(tokenizer)
    train(model, tokenizer, world, plan)
    round_to_bfloat16(model)
    evaluation = evaluate(model, tokenizer, heldout_examples(world, EVALUATION_EXAMPLE_COUNT))
    artefact.write_checkpoint(model, tokenizer, world, evaluation, directory)
    artefact.check_with_transformers(directory, world)


def measure(world: World, directory: Path) -> dict[str, object]:
    """Evaluate a written checkpoint and compare with what it says of itself.

    Args:
        world: The topics.
        directory: The checkpoint.

    Returns:
        The evaluation, and as ``equals_stated`` whether it is that of ``evaluation.json``.
    """
    model = Qwen2ForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    measured = evaluate(model, tokenizer, heldout_examples(world, EVALUATION_EXAMPLE_COUNT))
    stated = Evaluation(**json.loads((directory / "evaluation.json").read_text(encoding="utf-8")))
    return {**asdict(measured), "equals_stated": measured == stated}


if __name__ == "__main__":
    main()
