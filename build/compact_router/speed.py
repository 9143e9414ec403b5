"""Time the model against the sentence encoder it started from, in turns, both served by one Triton over gRPC.

The sentence encoder reads the latest message only and compares it with the candidates' vectors; its backend, precision
and cache are the model's own. Needs the extra `build`, which exports it.
"""

import argparse
import asyncio
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from transformers.utils import logging
from tritonclient.grpc import InferenceServerClient, InferInput

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from compact_router.benchmark import LabelledTurn, benchmark_turns
from compact_router.export import export
from compact_router.manifest import MODEL_DIRECTORY, VERSION, read_json, render_json
from compact_router.network import Encoder, Router
from compact_router.plan import LIMITS
from compact_router.pretrained import MINILM, load_transformer
from compact_router.stamp import stamp

ENCODER_ALONE = "sentence_encoder"
START_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 60.0
CANDIDATE_COUNTS = (15, 150)


class Client:
    """Calls a model over gRPC, and takes the time."""

    def __init__(self, endpoint: str, model: str) -> None:
        """Connect to Triton at HOST:PORT."""
        self._client = InferenceServerClient(endpoint)
        self._model = model

    def seconds(self, conversation: bytes, candidates: Sequence[bytes]) -> float:
        """Make one call and give the seconds it took."""
        started_s = time.perf_counter()
        tensors = []
        for name, values in (("conversation", [conversation]), ("candidates", candidates)):
            array = np.array(values, dtype=np.object_)
            tensors.append(InferInput(name, array.shape, "BYTES"))
            tensors[-1].set_data_from_numpy(array)
        self._client.infer(self._model, tensors, client_timeout=CALL_TIMEOUT_S)
        return time.perf_counter() - started_s


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.speed", description=__doc__)
    parser.add_argument("benchmark", type=Path, help="folder with policies/ and one .jsonl per setting")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--turns", type=int, default=200, help="conversations to time with (default: %(default)s)")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    turns = benchmark_turns(arguments.benchmark)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        shutil.copytree(arguments.model_directory, repository / "compact_router")
        make_encoder_alone(arguments.model_directory, repository / ENCODER_ALONE)
        medians = asyncio.run(measure(repository, turns[:: max(1, len(turns) // arguments.turns)]))
    print(json.dumps(medians, indent=2))


def make_encoder_alone(model_directory: Path, target: Path) -> None:
    """Make a Triton model of the untrained sentence encoder, with the backend of the given model."""
    shutil.copytree(model_directory, target, ignore=shutil.ignore_patterns("*.onnx"))
    config = target / "config.pbtxt"
    text = config.read_text(encoding="utf-8").replace('name: "compact_router"', f'name: "{ENCODER_ALONE}"')
    config.write_text(text, encoding="utf-8")
    export(Router(Encoder(load_transformer()), layer_count=0).eval(), MINILM, target / VERSION, "int8")
    path = target / VERSION / "router.json"
    latest_only = replace(
        LIMITS,
        previous_message_token_limit=1,
        older_message_token_limit=1,
        earlier_token_limit=1,
        earlier_message_limit=1,
    )
    path.write_text(render_json({**read_json(path), "window": asdict(latest_only)}), encoding="utf-8")
    stamp(target)


async def measure(repository: Path, turns: Sequence[LabelledTurn]) -> dict[str, dict[str, float]]:
    """Serve both models for as long as it takes.

    Returns:
        By number of candidates, the medians in milliseconds, their ratio, and the time of compact_router's first call,
        to which the candidates are new.
    """
    names = ("compact_router", ENCODER_ALONE)
    triton = EmbeddedTriton(repository, tuple(EmbeddedModel(name) for name in names), START_TIMEOUT_S)
    await triton.start()
    try:
        return await asyncio.to_thread(_time_both, triton.endpoint, turns)
    finally:
        await triton.stop()
        triton.close()


def _time_both(endpoint: str, turns: Sequence[LabelledTurn]) -> dict[str, dict[str, float]]:
    clients = [Client(endpoint, name) for name in ("compact_router", ENCODER_ALONE)]
    distinct = dict.fromkeys(candidate for turn in turns for candidate in turn.candidates)
    conversations = list(dict.fromkeys(turn.conversation for turn in turns))
    medians = {}
    for count in CANDIDATE_COUNTS:
        candidates = list(itertools.islice(distinct, count))
        # After these calls the candidates' vectors are kept.
        first_s, _ = (client.seconds(conversations[0], candidates) for client in clients)
        times = [[client.seconds(each, candidates) for client in clients] for each in conversations]
        ours_ms, encoder_ms = (1000 * float(median) for median in np.median(times, axis=0))
        medians[f"{len(candidates)} candidates"] = {
            "compact_router_ms": round(ours_ms, 2),
            "sentence_encoder_ms": round(encoder_ms, 2),
            "ratio": round(ours_ms / encoder_ms, 2),
            "first_call_ms": round(1000 * first_s, 1),
        }
    return medians


if __name__ == "__main__":
    main()
