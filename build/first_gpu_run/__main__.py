"""Runs the checks: ``python -m first_gpu_run``."""

import argparse
import asyncio
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import PipelineError
from engine.model_config import MODEL
from engine.runner import SystemRunner
from rich.table import Table

from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.bundles.probe import SkeletonProbe, probe_answers
from archrouter.cli.console import note, print_json, print_table
from archrouter.inference.triton_client import TritonClient
from first_gpu_run.checks import Check, Result, Status, run_check
from first_gpu_run.engine_checks import ENGINE_CHECKS
from first_gpu_run.host import Host
from first_gpu_run.image_checks import IMAGE_CHECKS
from first_gpu_run.load_checks import LOAD_CHECKS
from first_gpu_run.wire import TritonWire
from first_gpu_run.wire_checks import WIRE_CHECKS

CHECKS: tuple[Check, ...] = (*IMAGE_CHECKS, *ENGINE_CHECKS, *WIRE_CHECKS, *LOAD_CHECKS)
EXIT_CONFIRMED, EXIT_DIFFERENT, EXIT_BAD_INPUT, EXIT_INCOMPLETE = 0, 1, 2, 3

_METRICS_TIMEOUT_S = 5.0
_EPILOG = """\
examples (with PYTHONPATH=build):
  python -m first_gpu_run --list
  python -m first_gpu_run --endpoint 127.0.0.1:8001 --metrics http://127.0.0.1:8002/metrics \\
    --bundle out/engine/NAME/assemble/bundle --checkpoint Arch-Router-1.5B --logs out/engine/NAME/logs
  python -m first_gpu_run --image-root /app/all_models --only template --only xgrammar     (inside the image)

exit codes: 0 all confirmed, 1 something is different, 2 bad input, 3 nothing is different but not all was checked
"""


def main(arguments: Sequence[str]) -> int:
    """Run the program.

    Args:
        arguments: Of the command line.

    Returns:
        Exit code.
    """
    options = _parser().parse_args(arguments)
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    if options.list:
        for check in chosen:
            print(f"{check.name:<20} {check.expectation}")
        return EXIT_CONFIRMED
    try:
        host = _host(options)
        results = []
        for check in chosen:
            note(f"{check.name} …")
            results.append(run_check(check, host))
    except (BundleError, PipelineError) as error:
        print(f"first_gpu_run: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    _show(results, as_json=options.json)
    statuses = {result.status for result in results}
    if Status.DIFFERENT in statuses:
        return EXIT_DIFFERENT
    return EXIT_INCOMPLETE if Status.NOT_CHECKED in statuses else EXIT_CONFIRMED


def _show(results: Sequence[Result], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"check": r.check.name, "expectation": r.check.expectation, "status": r.status.value, "saw": r.saw}
            for r in results
        ]
        print_json(rows)
        return
    table = Table("check", "status", "expected", "seen", show_lines=True)
    for result in results:
        table.add_row(result.check.name, result.status.value, result.check.expectation, result.saw)
    print_table(table)


def _host(options: argparse.Namespace) -> Host:
    bundle = load_bundle(options.bundle) if options.bundle else None

    def wire(endpoint: str | None) -> TritonWire | None:
        return TritonWire(endpoint, options.model) if endpoint else None

    return Host(
        runner=SystemRunner(),
        model_repository=options.model_repository,
        model=options.model,
        endpoint=options.endpoint,
        wire=wire(options.endpoint),
        without_logits=wire(options.endpoint_without_logits),
        single_profile=wire(options.endpoint_single_profile),
        bundle=bundle,
        checkpoint=options.checkpoint,
        image_root=options.image_root,
        logs=options.logs,
        metrics=_metrics(options.metrics) if options.metrics else None,
        probe=_probe(options.endpoint, options.model, bundle) if options.endpoint and bundle else None,
        overload_calls=options.overload_calls,
        is_guided=options.guided,
    )


def _metrics(url: str) -> Callable[[], str]:
    def read() -> str:
        with urllib.request.urlopen(url, timeout=_METRICS_TIMEOUT_S) as reply:  # noqa: S310  # the operator's own URL
            return str(reply.read().decode())

    return read


def _probe(endpoint: str, model: str, bundle: PromptBundle) -> Callable[[], SkeletonProbe]:
    async def ask() -> SkeletonProbe:
        connection = TritonClient(endpoint, max_concurrent_requests=1)
        try:
            return await probe_answers(connection, model, bundle)
        finally:
            await connection.close()

    return lambda: asyncio.run(ask())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m first_gpu_run",
        description="Compare what was read about TensorRT-LLM and its Triton backend with what a real host shows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--endpoint", metavar="HOST:PORT", help="gRPC of the Triton that serves the engine")
    add("--model", default=MODEL, help="its name there (default: %(default)s)")
    add("--bundle", type=Path, help="bundle the engine belongs to")
    add("--checkpoint", type=Path, help="Hugging Face directory of its weights")
    add("--model-repository", type=Path, default=Path("model_repository"), help="checked-in models")
    add("--metrics", metavar="URL", help="Triton's metrics, e.g. http://127.0.0.1:8002/metrics")
    add("--logs", type=Path, help="folder logs of the build's workspace")
    add("--image-root", type=Path, help="folder /app/all_models of the image")
    add("--endpoint-without-logits", metavar="HOST:PORT", help="the same, built without --gather_generation_logits")
    add("--endpoint-single-profile", metavar="HOST:PORT", help="the same, built without --multiple_profiles")
    add("--overload-calls", type=int, default=0, metavar="N", help="calls at once to fill the queue; off by default")
    add("--guided", action="store_true", help="the model was loaded with guided decoding")
    add("--only", action="append", choices=[check.name for check in CHECKS], metavar="CHECK", help="may be repeated")
    add("--list", action="store_true", help="name the checks and what is expected")
    add("--json", action="store_true", help="print one JSON document")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
