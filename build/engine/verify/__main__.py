"""Compare an endpoint with its checkpoint in transformers, and provoke it; see README.md beside this file."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from archrouter.bundles.checkpoint import CheckpointFiles, read_checkpoint
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.evaluation.dataset import read_dataset
from engine.program import BadInputError, NeedsMoreError
from engine.verify.agreement import Oracle
from engine.verify.behaviour import DEFAULT_CALL_COUNT
from engine.verify.endpoint import Endpoint
from engine.verify.program import Tell, at_least, connected, in_range, make_parser, run
from engine.verify.questions import GOLDEN, Question, digest_of, questions_of, split_by_fit
from engine.verify.report import Report, Thresholds
from engine.verify.run import Verification, verify

PROGRAM = "engine.verify"
_MAX_CONCURRENT_REQUESTS = 8


def main(arguments: Sequence[str]) -> int:
    """Verify the endpoint that the arguments name."""
    return run(PROGRAM, _parser().parse_args(arguments), _verify, lambda report: 0 if report.passed else 1)


def _parser() -> argparse.ArgumentParser:
    limits = Thresholds()
    parser = make_parser(
        PROGRAM,
        "Put golden conversations to an endpoint and to its checkpoint in transformers (float32), compare the "
        "decisions, and check logits, KV reuse, prompt limits, cancellation and overload. Needs the extra build.",
        [
            "--endpoint 127.0.0.1:8001 --bundle bundles/arch-router --checkpoint Arch-Router-1.5B --output out/verify",
            "--embedded --bundle DIR --checkpoint DIR --json",
        ],
    )
    add = partial(parser.add_argument, metavar="DIR", type=Path)
    add("--checkpoint", required=True, help="the Hugging Face directory")
    golden = "labelled conversations in the format of 'archrouter eval' (default: those of this program)"
    add("--golden", default=GOLDEN, help=golden)
    add = partial(parser.add_argument, type=in_range(0, 1))
    routes = "share of questions with the oracle's route (%(default)s)"
    add("--min-route-agreement", default=limits.min_route_agreement, help=routes)
    distance = "distance from the oracle's probabilities that 95 %% of the questions keep (%(default)s, for bf16)"
    add("--max-probability-difference", default=limits.max_probability_difference, help=distance)
    distance = "distance of a logit alone and among other calls that 95 %% of them keep (%(default)s, for bf16)"
    add("--max-logit-difference", type=in_range(0, 100), default=limits.max_logit_difference, help=distance)
    calls = "calls at once, doubled up to three times until one is refused (%(default)s)"
    add("--overload-calls", type=at_least(2), default=DEFAULT_CALL_COUNT, help=calls)
    add("--oracle-device", type=str, default="auto", help="torch device of the oracle (%(default)s)")
    return parser


def _verify(options: argparse.Namespace, tell: Tell) -> Report:
    # Whatever calibrates the model later has no part in what it computes.
    bundle = load_bundle(options.bundle, with_calibration=False)
    checkpoint = read_checkpoint(options.checkpoint)
    questions, left_out = split_by_fit(questions_of(read_dataset(options.golden)), bundle)
    if not questions:
        msg = f"{options.golden}: no policy set fits this model's {bundle.profile.max_prompt_token_count} tokens"
        raise BadInputError(msg)
    tell("reading the checkpoint", 0, 0)
    oracle = _oracle(options.checkpoint, options.oracle_device)
    names = [question.name for question in left_out]
    return asyncio.run(_ask(options, bundle, checkpoint, oracle, questions, names, tell))


async def _ask(
    options: argparse.Namespace,
    bundle: PromptBundle,
    checkpoint: CheckpointFiles,
    oracle: Oracle,
    questions: tuple[Question, ...],
    left_out: Sequence[str],
    tell: Tell,
) -> Report:
    limits = (options.min_route_agreement, options.max_probability_difference, options.max_logit_difference)
    thresholds, vocab_size = Thresholds(*limits), _vocab_size(bundle, options.checkpoint)
    async with connected(options, bundle, _MAX_CONCURRENT_REQUESTS) as (connection, model):
        timeout_s = options.call_timeout_s
        endpoint = Endpoint(connection, model, bundle, checkpoint.max_positions, vocab_size, timeout_s)
        checks = await verify(Verification(endpoint, oracle, questions, thresholds, options.overload_calls, tell))
    return Report(
        endpoint=connection.endpoint,
        model=model,
        model_version=bundle.profile.model_version,
        checkpoint=checkpoint.name,
        questions_digest=digest_of(questions),
        question_count=len(questions),
        left_out=left_out,
        thresholds=thresholds,
        checks=checks,
    )


def _oracle(checkpoint: Path, device: str) -> Oracle:
    """Import torch only now: without it everything up to here still explains itself."""
    try:
        from engine.verify.oracle import TransformersOracle  # noqa: PLC0415  # torch, several GB

        return TransformersOracle(checkpoint, device)
    except ImportError as error:
        msg = f"the oracle needs the extra build ({error}); run: make .venv-build/.ready-build"
        raise NeedsMoreError(msg) from error
    except (ValueError, RuntimeError) as error:
        msg = f"{checkpoint}: transformers cannot run it on {device}: {error}"
        raise NeedsMoreError(msg) from error


def _vocab_size(bundle: PromptBundle, checkpoint: Path) -> int:
    if bundle.manifest.engine is not None:
        return bundle.manifest.engine.vocab_size
    return int(json.loads((checkpoint / "config.json").read_text("utf-8"))["vocab_size"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
