"""What scoring saves on a GPU: a prefill with one row of logits, against the same prefill and twelve decode steps.

A random model of Qwen2.5-1.5B's shape answers both kinds of call in turns, in one process, at several batch sizes and
prompt lengths, with none and with three quarters of the prompt in the KV cache already. Each time is set beside the
roofline: the least time the arithmetic and the memory traffic of that call could take on the device.

Examples:
  python benchmarks/gpu/prefill_or_decode.py --device cuda
  python benchmarks/gpu/prefill_or_decode.py --device cpu --tiny --json
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import Qwen2Config, Qwen2ForCausalLM, StaticCache

DECODE_STEPS = 12
"""Tokens of an answer such as ``{"route": "code_generation"}`` with Qwen2.5's tokenizer, about."""

SEED = 0
WARM_UP_RUNS = 3


@dataclass(frozen=True, slots=True)
class Device:
    """Where it runs, and what it could do at best.

    Attributes:
        name: torch device.
        peak_flops: Dense arithmetic in the model's dtype, FLOP/s; 0 when unknown.
        peak_bytes: Memory bandwidth, bytes/s; 0 when unknown.
    """

    name: str
    peak_flops: float
    peak_bytes: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the grid, and its median times in seconds."""

    batch_size: int
    prompt_tokens: int
    reused_share: float
    scoring_s: float
    generation_s: float
    scoring_roofline_s: float
    generation_roofline_s: float

    @property
    def ratio(self) -> float:
        """How many times longer generating takes."""
        return self.generation_s / self.scoring_s


class Runner:
    """The model, its KV cache of a fixed size, and the two kinds of call."""

    def __init__(self, model: Qwen2ForCausalLM, batch_size: int, max_tokens: int) -> None:
        """Allocate the cache; on CUDA, record the decode step as a graph."""
        self.model, self.batch_size = model, batch_size
        self.device = model.device
        self.cache = StaticCache(config=model.config, max_cache_len=max_tokens)
        self.token = torch.zeros((batch_size, 1), dtype=torch.long, device=self.device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.prefill(torch.ones((batch_size, 2), dtype=torch.long, device=self.device), 0)
        if self.device.type == "cuda":
            self._record()

    def prefill(self, ids: torch.Tensor, start: int) -> torch.Tensor:
        """Read tokens behind the first `start` cached ones, and return the last row of logits, [batch, vocabulary]."""
        for layer in self.cache.layers:
            layer.cumulative_length.fill_(start)  # what lies behind is overwritten: a rewind costs nothing
        return self.model(input_ids=ids, past_key_values=self.cache, logits_to_keep=1).logits[:, -1]

    def decode(self, first: torch.Tensor) -> None:
        """Generate greedily, one token a step; a graph replays the kernels of a step without launching each."""
        self.token.copy_(first.argmax(-1, keepdim=True))
        for _ in range(DECODE_STEPS):
            if self.graph is not None:
                self.graph.replay()
            else:
                self._step()

    def _step(self) -> None:
        logits = self.model(input_ids=self.token, past_key_values=self.cache).logits[:, -1]
        self.token.copy_(logits.argmax(-1, keepdim=True))

    def _record(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step()


def timed(device: torch.device, call: Callable[[], object]) -> float:
    """Time one call to its end on the device, in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started_s = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started_s


def roofline_s(model: Qwen2ForCausalLM, device: Device, new_tokens: int, steps: int) -> float:
    """Bound a call from below: arithmetic of the new tokens, and for each pass over the model its weights once.

    Args:
        model: Gives parameter count and size.
        device: Gives the peaks.
        new_tokens: Tokens of the prefill over the whole batch.
        steps: Decode steps after it, each of which reads the weights again.

    Returns:
        Seconds; 0 when the peaks are unknown. Attention and the KV cache are left out: a few per cent at these lengths.
    """
    if not (device.peak_flops and device.peak_bytes):
        return 0.0
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    prefill_s = max(2 * parameters * new_tokens / device.peak_flops, size / device.peak_bytes)
    return float(prefill_s + steps * size / device.peak_bytes)


def measure(
    model: Qwen2ForCausalLM, device: Device, batch_size: int, prompt_tokens: int, reused_share: float, repeats: int
) -> Cell:
    """Time both kinds of call in turns over one prompt."""
    generator = torch.Generator().manual_seed(SEED)
    ids = torch.randint(0, model.config.vocab_size, (batch_size, prompt_tokens), generator=generator).to(model.device)
    runner = Runner(model, batch_size, prompt_tokens + DECODE_STEPS + 1)
    reused = int(prompt_tokens * reused_share)
    if reused:
        runner.prefill(ids[:, :reused], 0)
    new = ids[:, reused:]

    def score() -> None:
        runner.prefill(new, reused)

    def generate() -> None:
        runner.decode(runner.prefill(new, reused))

    times: dict[str, list[float]] = {"score": [], "generate": []}
    for run in range(repeats + 1):
        for name, call in (("score", score), ("generate", generate)):
            elapsed_s = timed(model.device, call)
            if run:  # the first is a warm-up
                times[name].append(elapsed_s)
    new_tokens = batch_size * new.shape[1]
    return Cell(
        batch_size=batch_size,
        prompt_tokens=prompt_tokens,
        reused_share=reused_share,
        scoring_s=statistics.median(times["score"]),
        generation_s=statistics.median(times["generate"]),
        scoring_roofline_s=roofline_s(model, device, new_tokens, 0),
        generation_roofline_s=roofline_s(model, device, new_tokens, DECODE_STEPS),
    )


def make_model(device: str, *, tiny: bool) -> Qwen2ForCausalLM:
    """Make a random model: Qwen2.5-1.5B's shape in bfloat16, or a small one in float32 to try the program."""
    config = (
        Qwen2Config(
            vocab_size=8192,
            hidden_size=256,
            intermediate_size=1024,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
        if tiny
        else Qwen2Config(
            vocab_size=151_936,
            hidden_size=1536,
            intermediate_size=8960,
            num_hidden_layers=28,
            num_attention_heads=12,
            num_key_value_heads=2,
            rope_theta=1e6,
            tie_word_embeddings=True,
        )
    )
    torch.manual_seed(SEED)
    dtype = torch.float32 if tiny else torch.bfloat16
    return Qwen2ForCausalLM(config).to(device=device, dtype=dtype).eval()


def grid(*, tiny: bool) -> Iterator[tuple[int, int, float]]:
    """List batch size, prompt tokens and reused share of every cell."""
    for batch_size in (1, 8) if tiny else (1, 8, 32):
        for prompt_tokens in (300, 600) if tiny else (300, 600, 1200):
            for reused_share in (0.0, 0.75):
                yield batch_size, prompt_tokens, reused_share


def main() -> None:
    """Measure the grid and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device")
    parser.add_argument("--tiny", action="store_true", help="a small model and grid, to try the program on a CPU")
    parser.add_argument("--repeats", type=int, default=20, help="timed calls of each kind per cell (default: 20)")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="the device's dense peak, for the roofline")
    parser.add_argument(
        "--peak-gbytes", type=float, default=0.0, help="the device's memory bandwidth in GB/s, likewise"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    device = Device(arguments.device, arguments.peak_tflops * 1e12, arguments.peak_gbytes * 1e9)
    model = make_model(arguments.device, tiny=arguments.tiny)
    console = Console(stderr=True)
    with torch.inference_mode():
        cells = [
            measure(model, device, *cell, arguments.repeats)
            for cell in track(list(grid(tiny=arguments.tiny)), "measuring", console=console)
        ]
    if arguments.json:
        print(json.dumps([{**asdict(cell), "ratio": cell.ratio} for cell in cells], indent=1))
        return
    table = Table(
        "batch", "prompt tokens", "reused", "score ms", "generate ms", "ratio", "rooflines ms", title="medians"
    )
    for cell in cells:
        table.add_row(
            str(cell.batch_size),
            str(cell.prompt_tokens),
            f"{cell.reused_share:.0%}",
            f"{cell.scoring_s * 1e3:.2f}",
            f"{cell.generation_s * 1e3:.2f}",
            f"{cell.ratio:.1f}",
            f"{cell.scoring_roofline_s * 1e3:.2f} / {cell.generation_roofline_s * 1e3:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
