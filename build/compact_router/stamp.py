"""Write the digests of the version folder into manifest.json and config.pbtxt.

Run after any change below the version folder: the model refuses to load under a digest that is not its own.
"""

import argparse
import json
import re
from pathlib import Path

from compact_model.digest import PREFIX, file_digests, model_version
from compact_model.parameters import REFERENCE, read_parameters

from compact_router.manifest import MODEL_DIRECTORY, VERSION, read_json, update_manifest


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.stamp", description=__doc__)
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    print(stamp(parser.parse_args().model_directory))


def stamp(model_directory: Path) -> str:
    """Stamp a model, and give the model version written."""
    directory = model_directory / VERSION
    digests = file_digests(directory)
    version = model_version(digests)
    router = read_json(directory / "router.json")
    values = {
        "model_version": version,
        "tokenizer_digest": PREFIX + digests["tokenizer.json"],
        "max_prompt_token_count": str(read_parameters(directory / "router.json").max_token_count),
        "calibration": json.dumps(router["calibration"]),
        "calibration_reference": json.dumps(router[REFERENCE]) if REFERENCE in router else "",
    }
    config = model_directory / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    for key, value in values.items():
        text = set_parameter(text, key, value)
    config.write_text(text, encoding="utf-8")
    update_manifest(
        model_directory,
        model_version=version,
        files={name: PREFIX + digest for name, digest in digests.items()},
    )
    return version


def set_parameter(text: str, key: str, value: str) -> str:
    """Replace the value of a parameter in a config.pbtxt, leaving its layout and comments as they are.

    Args:
        text: The file, each parameter on one line with its value in single quotes.
        key: The parameter.
        value: Without single quotes and backslashes.

    Raises:
        ValueError: When the parameter is not there exactly once.
    """
    pattern = re.compile(rf"""(key: "{re.escape(key)}" value: \{{ string_value: ')[^']*(')""")
    text, count = pattern.subn(lambda match: match[1] + value + match[2], text)
    if count != 1:
        msg = f"config.pbtxt has {count} lines for the parameter {key!r}, in the layout this program writes; want 1"
        raise ValueError(msg)
    return text


if __name__ == "__main__":
    main()
