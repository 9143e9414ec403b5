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

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from compact_router.benchmark import LabelledTurn, benchmark_turns
from compact_router.export import export
from compact_router.manifest import MODEL_DIRECTORY, VERSION, read_json, render_json
from compact_router.network import Router
from compact_router.plan import LIMITS
from compact_router.pretrained import pretrained_directory
from compact_router.stamp import stamp
from compact_router.verify import CANDIDATE_COUNTS, START_TIMEOUT_S, Client

ENCODER_ALONE = "sentence_encoder"


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
    """Make a Triton model of the untrained sentence encoder.

    Args:
        model_directory: The model whose backend is used.
        target: Folder to write.
    """
    shutil.copytree(model_directory, target, ignore=shutil.ignore_patterns("*.onnx"))
    config = target / "config.pbtxt"
    text = config.read_text(encoding="utf-8").replace('name: "compact_router"', f'name: "{ENCODER_ALONE}"')
    config.write_text(text, encoding="utf-8")
    export(Router(pretrained_directory(), layer_count=0).eval(), target / VERSION, "int8")
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
    """Serve both for as long as it takes.

    Args:
        repository: Holds both models.
        turns: Whose conversations are timed.

    Returns:
        By number of candidates, the medians in milliseconds and their ratio.
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
        for client in clients:
            client.score(conversations[0], candidates)  # their vectors are kept from here on
        times = [[_seconds(client, each, candidates) for client in clients] for each in conversations]
        ours_ms, encoder_ms = (1000 * float(median) for median in np.median(times, axis=0))
        medians[f"{len(candidates)} candidates"] = {
            "compact_router_ms": round(ours_ms, 2),
            "sentence_encoder_ms": round(encoder_ms, 2),
            "ratio": round(ours_ms / encoder_ms, 2),
        }
    return medians


def _seconds(client: Client, conversation: bytes, candidates: Sequence[bytes]) -> float:
    started_s = time.perf_counter()
    client.score(conversation, candidates)
    return time.perf_counter() - started_s


if __name__ == "__main__":
    main()
