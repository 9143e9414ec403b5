"""Calibrate a bundle on labelled conversations, through the engine that serves it; see docs/calibration.md."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from archrouter.bundles.calibration_file import write_calibration
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.domain.errors import ArchRouterError
from archrouter.evaluation.dataset import DatasetError, read_dataset
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient
from engine.calibrate.decisions import LabelledDecision, decide_all
from engine.calibrate.report import Report
from engine.verify.program import Exit, at_least, fail, in_range, make_parser, place_of, progress
from engine.verify.questions import Question, digest_of, questions_of, split_by_fit
from engine.verify.report import CannotRunError
from engine.verify.served import refusal_of, wait_until_ready

PROGRAM = "engine.calibrate"
DEFAULT_FOLDS = 5
DEFAULT_CONCURRENCY = 4
_CALLS_PER_QUESTION = 8
"""Room for the calls of one depth of the trie, which are made together."""


def main(arguments: Sequence[str]) -> int:
    """Calibrate the bundle that the arguments name."""
    options = _parser().parse_args(arguments)
    try:
        with progress() as tell:
            report = _calibrate(options, tell)
        if options.output:
            report.write(options.output)
        error = report.chosen.confidence.expected_calibration_error
        if error > options.max_calibration_error:
            msg = f"calibration error {error:.4f} exceeds {options.max_calibration_error:g}; nothing was written"
            return fail(PROGRAM, msg, Exit.MISSED)
        written = write_calibration(options.bundle, report.file())
    except (BundleError, DatasetError) as problem:
        return fail(PROGRAM, problem, Exit.USAGE)
    except (CannotRunError, OSError) as problem:
        return fail(PROGRAM, problem, Exit.COULD_NOT_RUN)
    print(json.dumps(report.document(), indent=1) if options.json else report.markdown())
    print(f"wrote {written}", file=sys.stderr)
    return Exit.PASSED


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        PROGRAM,
        "Ask a served engine for the posterior of every labelled turn, fit a temperature and an isotonic map, choose "
        "by cross-validation, and write calibration.json into the bundle. Needs the extra build.",
        [
            "--endpoint 127.0.0.1:8001 --bundle bundles/arch-router --records labelled --output out/calibration",
            "--embedded --bundle DIR --records DIR --max-calibration-error 0.1",
        ],
    )
    parser.add_argument(
        "--records",
        required=True,
        type=Path,
        metavar="DIR",
        help="labelled conversations in the format of 'archrouter eval'; nothing the weights were trained on",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="also write a report and its pictures there")
    parser.add_argument(
        "--folds", type=at_least(2), default=DEFAULT_FOLDS, help="parts of the cross-validation (%(default)s)"
    )
    parser.add_argument(
        "--concurrency", type=at_least(1), default=DEFAULT_CONCURRENCY, help="questions at a time (%(default)s)"
    )
    parser.add_argument(
        "--max-calibration-error",
        type=in_range(0, 1),
        default=1.0,
        help="write nothing and end with 1 when the cross-validated error is larger (default: any)",
    )
    return parser


def _calibrate(options: argparse.Namespace, tell: Callable[[str, int, int], None]) -> Report:
    try:
        from engine.calibrate.choice import MIN_DECISIONS, choose  # noqa: PLC0415  # scikit-learn, only in the extra
    except ImportError as error:
        msg = f"fitting needs the extra build ({error}); run: make .venv-build/.ready-build"
        raise CannotRunError(msg) from error
    # What calibrated the bundle before, or another one it was copied from, does not matter now.
    bundle = load_bundle(options.bundle, with_calibration=False)
    questions, left_out = split_by_fit(questions_of(read_dataset(options.records)), bundle)
    if len(questions) < MIN_DECISIONS:
        msg = (
            f"{options.records} gives {len(questions)} labelled decisions ({len(left_out)} more have policies that "
            f"this model cannot take); {MIN_DECISIONS} are needed"
        )
        raise CannotRunError(msg)
    decisions = asyncio.run(_decide(options, bundle, questions, tell))
    try:
        choice = choose(decisions, fold_count=options.folds, on_progress=tell)
    except ValueError as error:
        raise CannotRunError(str(error)) from error
    return Report(
        model_version=bundle.profile.model_version,
        data_digest=digest_of(questions),
        left_out=tuple(question.name for question in left_out),
        choice=choice,
    )


async def _decide(
    options: argparse.Namespace,
    bundle: PromptBundle,
    questions: tuple[Question, ...],
    tell: Callable[[str, int, int], None],
) -> list[LabelledDecision]:
    async with place_of(options, bundle) as place:
        connection = TritonClient(place.endpoint, max_concurrent_requests=options.concurrency * _CALLS_PER_QUESTION)
        # The service's own epsilon: what is calibrated is what it sees.
        backend = LanguageModelBackend(connection, place.model, bundle)
        try:
            await wait_until_ready(connection, place.model, timeout_s=options.call_timeout_s)
            await backend.warm_up(timeout_s=options.call_timeout_s)
            return await decide_all(
                backend,
                questions,
                concurrency=options.concurrency,
                call_timeout_s=options.call_timeout_s,
                on_done=lambda done: tell("asking the engine", done, len(questions)),
            )
        except ArchRouterError as error:
            msg = f"model {place.model!r} at {place.endpoint} does not answer: {refusal_of(error)}"
            raise CannotRunError(msg) from error
        finally:
            await connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
