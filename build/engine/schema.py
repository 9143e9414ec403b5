"""Command schema: the JSON schema of a bundle's manifest, written from the model that reads it."""

import json
from collections.abc import Sequence
from pathlib import Path

from archrouter.bundles.manifest import Manifest
from engine.program import StepFailedError, make_parser, run_program

SCHEMA_FILE = Path(__file__).parents[1] / "manifest.schema.json"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = make_parser("engine schema", f"Write build/{SCHEMA_FILE.name} from the manifest's model.", ["--check"])
    parser.add_argument("--check", action="store_true", help="compare instead of writing; differences exit 1")
    options = parser.parse_args(arguments)

    def work() -> None:
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
        text = json.dumps(schema, indent=1) + "\n"
        if not options.check:
            SCHEMA_FILE.write_text(text, "utf-8")
        elif not SCHEMA_FILE.is_file() or SCHEMA_FILE.read_text("utf-8") != text:
            msg = f"{SCHEMA_FILE.name} is not the manifest's; run: python -m engine schema"
            raise StepFailedError(msg)

    return run_program("schema", work)
