"""Calibrate a bundle on labelled conversations, through the endpoint that serves it; see docs/calibration.md."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from archrouter.bundles.calibration_file import write_calibration
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.domain.errors import ArchRouterError
from archrouter.evaluation.dataset import read_dataset
from archrouter.inference.language_model import LanguageModelBackend
from engine.calibrate.decisions import LabelledDecision, decide_all
from engine.calibrate.report import Report
from engine.program import NeedsMoreError, StepFailedError
from engine.verify.endpoint import refusal_of, wait_until_ready
from engine.verify.program import Tell, at_least, connected, in_range, make_parser, run
from engine.verify.questions import Question, digest_of, questions_of, split_by_fit

PROGRAM = "engine.calibrate"
_CALLS_PER_QUESTION = 8
"""Room for the calls of one depth of the trie, which are made together."""


def main(arguments: Sequence[str]) -> int:
    """Calibrate the bundle that the arguments name."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, options, _calibrate, partial(_keep, options))


def _keep(options: argparse.Namespace, report: Report) -> int:
    error = report.chosen.confidence.expected_calibration_error
    if error > options.max_calibration_error:
        msg = f"calibration error {error:.4f} exceeds {options.max_calibration_error:g}; nothing was written"
        raise StepFailedError(msg)
    print(f"wrote {write_calibration(options.bundle, report.file())}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        PROGRAM,
        "Ask an endpoint for the posterior of every labelled turn, fit a temperature and an isotonic map, choose "
        "by cross-validation, and write calibration.json into the bundle. Needs the extra build.",
        [
            "--endpoint 127.0.0.1:8001 --bundle bundles/arch-router --records labelled --output out/calibration",
            "--embedded --bundle DIR --records DIR --max-calibration-error 0.1",
        ],
    )
    add = parser.add_argument
    records = "labelled conversations in the format of 'archrouter eval'; nothing the weights were trained on"
    add("--records", required=True, type=Path, metavar="DIR", help=records)
    add("--folds", type=at_least(2), default=5, help="parts of the cross-validation (%(default)s)")
    add("--concurrency", type=at_least(1), default=4, help="questions at a time (%(default)s)")
    most = "write nothing and end with 1 when the cross-validated error is larger (default: any)"
    add("--max-calibration-error", type=in_range(0, 1), default=1.0, help=most)
    return parser


def _calibrate(options: argparse.Namespace, tell: Tell) -> Report:
    try:
        from engine.calibrate.choice import MIN_DECISIONS, choose  # noqa: PLC0415  # scikit-learn, only in the extra
    except ImportError as error:
        msg = f"fitting needs the extra build ({error}); run: make .venv-build/.ready-build"
        raise NeedsMoreError(msg) from error
    # What calibrated the bundle before, or another one it was copied from, does not matter now.
    bundle = load_bundle(options.bundle, with_calibration=False)
    questions, left_out = split_by_fit(questions_of(read_dataset(options.records)), bundle)
    if len(questions) < MIN_DECISIONS:
        msg = (
            f"{options.records} gives {len(questions)} labelled decisions ({len(left_out)} more have policies that "
            f"this model cannot take); {MIN_DECISIONS} are needed"
        )
        raise NeedsMoreError(msg)
    decisions = asyncio.run(_decide(options, bundle, questions, tell))
    try:
        choice = choose(decisions, fold_count=options.folds, on_progress=tell)
    except ValueError as error:
        raise NeedsMoreError(str(error)) from error
    return Report(bundle.profile.model_version, digest_of(questions), tuple(one.name for one in left_out), choice)


async def _decide(
    options: argparse.Namespace, bundle: PromptBundle, questions: tuple[Question, ...], tell: Tell
) -> list[LabelledDecision]:
    concurrency, timeout_s = options.concurrency, options.call_timeout_s
    async with connected(options, bundle, concurrency * _CALLS_PER_QUESTION) as (connection, model):
        # The service's own epsilon: what is calibrated is what it sees.
        backend = LanguageModelBackend(connection, model, bundle)
        try:
            await wait_until_ready(connection, model, timeout_s=timeout_s)
            await backend.warm_up(timeout_s=timeout_s)
            return await decide_all(
                backend,
                questions,
                concurrency=concurrency,
                call_timeout_s=timeout_s,
                on_done=lambda done: tell("asking the endpoint", done, len(questions)),
            )
        except ArchRouterError as error:
            msg = f"model {model!r} at {connection.endpoint} does not answer: {refusal_of(error)}"
            raise NeedsMoreError(msg) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
