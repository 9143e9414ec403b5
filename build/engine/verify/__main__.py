"""Compare a served engine with its checkpoint in transformers, and provoke it; see README.md beside this file."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from archrouter.bundles.checkpoint import CheckpointFiles, read_checkpoint
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.evaluation.dataset import DatasetError, read_dataset
from archrouter.inference.triton_client import TritonClient
from engine.verify.agreement import Oracle
from engine.verify.overload import DEFAULT_CALL_COUNT
from engine.verify.program import Exit, Place, at_least, fail, in_range, make_parser, place_of, progress
from engine.verify.questions import GOLDEN, Question, digest_of, questions_of, split_by_fit
from engine.verify.report import CannotRunError, Check, Report, Thresholds
from engine.verify.run import Verification, verify
from engine.verify.served import ServedEngine

PROGRAM = "engine.verify"
_MAX_CONCURRENT_REQUESTS = 8


def main(arguments: Sequence[str]) -> int:
    """Verify the engine that the arguments name."""
    options = _parser().parse_args(arguments)
    try:
        report = _verify(options)
        if options.output:
            report.write(options.output)
    except (BundleError, DatasetError) as error:
        return fail(PROGRAM, error, Exit.USAGE)
    except (CannotRunError, OSError) as error:
        return fail(PROGRAM, error, Exit.COULD_NOT_RUN)
    print(json.dumps(report.document(), ensure_ascii=False, indent=1) if options.json else report.markdown())
    return Exit.PASSED if report.passed else Exit.MISSED


def _parser() -> argparse.ArgumentParser:
    limits = Thresholds()
    parser = make_parser(
        PROGRAM,
        "Put golden conversations to a served engine and to its checkpoint in transformers (float32), compare the "
        "decisions, and check logits, KV reuse, prompt limits, cancellation and overload. Needs the extra build.",
        [
            "--endpoint 127.0.0.1:8001 --bundle bundles/arch-router --checkpoint Arch-Router-1.5B --output out/verify",
            "--embedded --bundle DIR --checkpoint DIR --json",
        ],
    )
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="the Hugging Face directory")
    parser.add_argument("--output", type=Path, metavar="DIR", help="also write verify.json and verify.md there")
    parser.add_argument(
        "--golden",
        type=Path,
        default=GOLDEN,
        metavar="DIR",
        help="labelled conversations in the format of 'archrouter eval' (default: those of this program)",
    )
    parser.add_argument(
        "--min-route-agreement",
        type=in_range(0, 1),
        default=limits.min_route_agreement,
        help="share of questions with the oracle's route (%(default)s)",
    )
    parser.add_argument(
        "--max-probability-difference",
        type=in_range(0, 1),
        default=limits.max_probability_difference,
        help="distance from the oracle's probabilities that 95 %% of the questions keep (%(default)s, for bf16)",
    )
    parser.add_argument(
        "--max-logit-difference",
        type=in_range(0, 100),
        default=limits.max_logit_difference,
        help="distance of a logit alone and among other calls that 95 %% of them keep (%(default)s, for bf16)",
    )
    parser.add_argument(
        "--overload-calls",
        type=at_least(2),
        default=DEFAULT_CALL_COUNT,
        help="calls at once, doubled up to three times until one is refused (%(default)s)",
    )
    parser.add_argument("--oracle-device", default="auto", help="torch device of the oracle (%(default)s)")
    return parser


def _verify(options: argparse.Namespace) -> Report:
    # Whatever calibrates the engine later has no part in what it computes.
    bundle = load_bundle(options.bundle, with_calibration=False)
    checkpoint = read_checkpoint(options.checkpoint)
    questions, left_out = split_by_fit(questions_of(read_dataset(options.golden)), bundle)
    if not questions:
        msg = f"{options.golden}: no policy set fits this model's {bundle.profile.max_prompt_token_count} tokens"
        raise DatasetError(msg)
    oracle = _oracle(options.checkpoint, options.oracle_device)
    place, checks = asyncio.run(_run(options, bundle, checkpoint, oracle, questions))
    return Report(
        endpoint=place.endpoint,
        model=place.model,
        model_version=bundle.profile.model_version,
        checkpoint=checkpoint.name,
        questions_digest=digest_of(questions),
        question_count=len(questions),
        left_out=[question.name for question in left_out],
        thresholds=_thresholds(options),
        checks=checks,
    )


async def _run(
    options: argparse.Namespace,
    bundle: PromptBundle,
    checkpoint: CheckpointFiles,
    oracle: Oracle,
    questions: Sequence[Question],
) -> tuple[Place, tuple[Check, ...]]:
    async with place_of(options, bundle) as place:
        connection = TritonClient(place.endpoint, max_concurrent_requests=_MAX_CONCURRENT_REQUESTS)
        engine = ServedEngine(
            connection=connection,
            model=place.model,
            bundle=bundle,
            max_seq_len=checkpoint.max_positions,
            vocab_size=_vocab_size(bundle, options.checkpoint),
            call_timeout_s=options.call_timeout_s,
        )
        try:
            with progress() as tell:
                verification = Verification(
                    engine, oracle, questions, _thresholds(options), options.overload_calls, tell
                )
                return place, await verify(verification)
        finally:
            await connection.close()


def _thresholds(options: argparse.Namespace) -> Thresholds:
    return Thresholds(options.min_route_agreement, options.max_probability_difference, options.max_logit_difference)


def _oracle(checkpoint: Path, device: str) -> Oracle:
    """Import torch only now: without it everything up to here still explains itself."""
    try:
        from engine.verify.oracle import TransformersOracle  # noqa: PLC0415  # torch, several GB

        return TransformersOracle(checkpoint, device)
    except ImportError as error:
        msg = f"the oracle needs the extra build ({error}); run: make .venv-build/.ready-build"
        raise CannotRunError(msg) from error
    except (ValueError, RuntimeError) as error:
        msg = f"{checkpoint}: transformers cannot run it on {device}: {error}"
        raise CannotRunError(msg) from error


def _vocab_size(bundle: PromptBundle, checkpoint: Path) -> int:
    if bundle.manifest.engine is not None:
        return bundle.manifest.engine.vocab_size
    return int(json.loads((checkpoint / "config.json").read_text("utf-8"))["vocab_size"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
