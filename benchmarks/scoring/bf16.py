"""How far bfloat16 takes logits and probabilities from float32, on this machine's CPU.

The tolerances of ``engine.verify`` come from it. The model is a Qwen2 of Arch-Router's geometry but for the vocabulary,
with random weights: 28 layers, width 1536, 12 heads, 2 KV heads of 128. Rounding errors grow with depth and width and
with the size of the logits, not with what the weights have learned; the output layer is scaled so that the largest
logit of a position is about as large as that of a trained model, where neighbours in bfloat16 are 0.125 apart. Each
prompt is read in both types; the candidates are as many tokens as an answer has at a fork, the leading ones among them.
Needs the extra ``build``.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen2Config, Qwen2ForCausalLM

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
        return model(input_ids=prompt, logits_to_keep=positions).logits[0].double().numpy()


def probability_differences(
    whole: NDArray[np.float64], half: NDArray[np.float64], candidate_count: int
) -> NDArray[np.float64]:
    """Renormalise over the leading candidates of each row and return the largest difference of each: [positions]."""
    chosen = np.argsort(-whole, axis=1)[:, :candidate_count]
    pair = [np.take_along_axis(rows, chosen, axis=1) for rows in (whole, half)]
    shares = [np.exp(rows - rows.max(1, keepdims=True)) for rows in pair]
    first, second = (share / share.sum(1, keepdims=True) for share in shares)
    return np.abs(first - second).max(1)


def main(arguments: Sequence[str]) -> int:
    """Measure, print one JSON document and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring.bf16", description=__doc__)
    parser.add_argument("--prompts", type=int, default=12, help="prompts to read (%(default)s)")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of a prompt (%(default)s)")
    parser.add_argument("--positions", type=int, default=16, help="last positions of each to compare (%(default)s)")
    parser.add_argument("--vocabulary", type=int, default=8192, help="rows of the output layer (%(default)s)")
    parser.add_argument("--largest-logit", type=float, default=24.0, help="about the largest (%(default)s)")
    parser.add_argument("--candidates", type=int, default=8, help="tokens at a fork (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and prompts (%(default)s)")
    options = parser.parse_args(arguments)
    whole, half = models(options.vocabulary, options.largest_logit, options.seed)
    logits, probabilities, same = [], [], []
    for _ in range(options.prompts):
        prompt = torch.randint(options.vocabulary, (1, options.tokens))
        first, second = (last_rows(model, prompt, options.positions) for model in (whole, half))
        logits.append(np.abs(first - second).max(1))
        probabilities.append(probability_differences(first, second, options.candidates))
        same.append(first.argmax(1) == second.argmax(1))
    document = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "options": vars(options),
        "rows": int(np.concatenate(same).size),
        "same_leader": float(np.concatenate(same).mean()),
        "largest_logit_difference": _quantiles(np.concatenate(logits)),
        "largest_probability_difference": _quantiles(np.concatenate(probabilities)),
    }
    print(json.dumps(document, indent=1))
    return 0


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    return {f"q{quantile:g}": round(float(np.quantile(values, quantile)), 4) for quantile in QUANTILES}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
