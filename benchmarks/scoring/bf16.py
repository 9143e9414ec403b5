"""How far bfloat16 takes logits and probabilities from float32, on this machine's CPU.

The tolerances of ``engine.verify`` come from it. With ``--checkpoint`` and ``--bundle`` a trained model answers the
golden questions in both types, by the computation that ``engine.verify`` compares an engine with. Without, it is a
Qwen2 of Arch-Router's geometry but for the vocabulary, with random weights: 28 layers, width 1536, 12 heads, 2 KV heads
of 128, its output layer scaled to logits of 16 to 32, where neighbours in bfloat16 are 0.125 apart. Random weights
prefer no token, so they show the worst that rounding does. Needs the extra ``build``, and ``PYTHONPATH=build``.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from engine.verify.agreement import constrained_probabilities
from engine.verify.oracle import TransformersOracle
from engine.verify.questions import GOLDEN, questions_of, split_by_fit
from numpy.typing import NDArray
from transformers import Qwen2Config, Qwen2ForCausalLM

from archrouter.bundles.loader import load_bundle
from archrouter.domain.answer import candidate_sequences
from archrouter.evaluation.dataset import read_dataset

GEOMETRY = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
}
QUANTILES = (0.5, 0.9, 0.95, 0.99)


def models(vocab_size: int, largest_logit: float, seed: int) -> tuple[Qwen2ForCausalLM, Qwen2ForCausalLM]:
    """Make the same random weights twice.

    Args:
        vocab_size: Rows of the output layer.
        largest_logit: About the largest logit of a position.
        seed: Of the weights.

    Returns:
        The model in float32 with weights that bfloat16 can hold, and in bfloat16.
    """
    torch.manual_seed(seed)
    config = Qwen2Config(**GEOMETRY, vocab_size=vocab_size, max_position_embeddings=4096, tie_word_embeddings=False)
    half = Qwen2ForCausalLM(config).to(torch.bfloat16).eval()
    probe = torch.randint(vocab_size, (1, 64))
    with torch.inference_mode():
        highest = half(input_ids=probe).logits.float().amax(-1).median().item()
        half.lm_head.weight.mul_(largest_logit / highest)
    whole = Qwen2ForCausalLM(config).eval()
    whole.load_state_dict({name: weight.float() for name, weight in half.state_dict().items()})
    return whole, half


def last_rows(model: Qwen2ForCausalLM, prompt: torch.Tensor, positions: int) -> NDArray[np.float64]:
    """Return the logits of the last positions of a prompt: float64 [positions, V]."""
    with torch.inference_mode():
        rows: NDArray[np.float64] = model(input_ids=prompt, logits_to_keep=positions).logits[0].double().numpy()
    return rows


def probability_differences(
    whole: NDArray[np.float64], half: NDArray[np.float64], candidate_count: int
) -> NDArray[np.float64]:
    """Renormalise over the leading candidates of each row and return the largest difference of each: [positions]."""
    chosen = np.argsort(-whole, axis=1)[:, :candidate_count]
    pair = [np.take_along_axis(rows, chosen, axis=1) for rows in (whole, half)]
    shares = [np.exp(rows - rows.max(1, keepdims=True)) for rows in pair]
    first, second = (share / share.sum(1, keepdims=True) for share in shares)
    largest: NDArray[np.float64] = np.abs(first - second).max(1)
    return largest


def main(arguments: Sequence[str]) -> int:
    """Measure, print one JSON document and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring.bf16", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="Hugging Face directory of a trained model")
    parser.add_argument("--bundle", type=Path, help="bundle of the same weights")
    parser.add_argument("--prompts", type=int, default=12, help="prompts to read (%(default)s)")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of a prompt (%(default)s)")
    parser.add_argument("--positions", type=int, default=16, help="last positions of each to compare (%(default)s)")
    parser.add_argument("--vocabulary", type=int, default=8192, help="rows of the output layer (%(default)s)")
    parser.add_argument("--largest-logit", type=float, default=24.0, help="about the largest (%(default)s)")
    parser.add_argument("--candidates", type=int, default=8, help="tokens at a fork (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and prompts (%(default)s)")
    options = parser.parse_args(arguments)
    if options.checkpoint and options.bundle:
        logits, probabilities, same = trained(options.checkpoint, options.bundle)
    else:
        logits, probabilities, same = untrained(options)
    document = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "options": {name: str(value) for name, value in vars(options).items()},
        "rows": len(same),
        "same_leader": sum(same) / len(same),
        "largest_logit_difference": _quantiles(logits),
        "largest_probability_difference": _quantiles(probabilities),
    }
    print(json.dumps(document, indent=1))
    return 0


def trained(checkpoint: Path, bundle_directory: Path) -> tuple[list[float], list[float], list[bool]]:
    """Answer the golden questions in both types.

    Returns:
        Of each question the largest difference of a log-probability of an answer's token and of a candidate's
        probability, and whether both lead with the same candidate.
    """
    bundle = load_bundle(bundle_directory, with_calibration=False)
    questions, _ = split_by_fit(questions_of(read_dataset(GOLDEN)), bundle)
    oracles = [TransformersOracle(checkpoint, "cpu", dtype) for dtype in (torch.float32, torch.bfloat16)]
    logits, probabilities, same = [], [], []
    for question in questions:
        prompt = bundle.compiler.compile(question.policy_set).assemble(question.request.conversation)
        skeleton = bundle.prompt_format.skeleton
        answers = candidate_sequences(question.policy_set, skeleton, bundle.tokenizer, bundle.end_id)
        found = [oracle.answer_log_probabilities(prompt.ids, answers) for oracle in oracles]
        beliefs = [np.array(constrained_probabilities(answers, log_probs)) for log_probs in found]
        logits.append(max(float(np.abs(np.subtract(a, b)).max()) for a, b in zip(*found, strict=True)))
        probabilities.append(float(np.abs(beliefs[0] - beliefs[1]).max()))
        same.append(bool(beliefs[0].argmax() == beliefs[1].argmax()))
    return logits, probabilities, same


def untrained(options: argparse.Namespace) -> tuple[list[float], list[float], list[bool]]:
    """Read random tokens with random weights in both types; the same figures, of each position."""
    whole, half = models(options.vocabulary, options.largest_logit, options.seed)
    logits, probabilities, same = [], [], []
    for _ in range(options.prompts):
        prompt = torch.randint(options.vocabulary, (1, options.tokens))
        first, second = (last_rows(model, prompt, options.positions) for model in (whole, half))
        logits += np.abs(first - second).max(1).tolist()
        probabilities += probability_differences(first, second, options.candidates).tolist()
        same += (first.argmax(1) == second.argmax(1)).tolist()
    return logits, probabilities, same


def _quantiles(values: list[float]) -> dict[str, float]:
    return {f"q{quantile:g}": round(float(np.quantile(values, quantile)), 4) for quantile in QUANTILES}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
