"""Write held-out toy conversations as labelled records, in the format of ``archrouter eval``."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tiny_checkpoint.corpus import HELDOUT_SEED, Example, load_world, make_example

SETTING = "toy"


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tiny_checkpoint.labelled", description=__doc__)
    parser.add_argument("directory", type=Path, help="where to write; gets toy.jsonl and policies/")
    parser.add_argument("--count", type=int, default=500, help="conversations (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=HELDOUT_SEED, help="of every choice (default: %(default)s)")
    arguments = parser.parse_args()
    world, random = load_world(), Random(arguments.seed)  # noqa: S311  # reproducible data, not a secret
    examples = [make_example(world, random, heldout=True) for _ in range(arguments.count)]
    write_records([record_of(example) for example in examples], arguments.directory)


def write_records(records: Sequence[Mapping[str, Any]], directory: Path) -> None:  # Any: JSON
    """Write a benchmark folder in which each conversation has a policy set of its own.

    Args:
        records: With ``routes``, ``conversation`` and ``route``, as in the checkpoint's ``golden.jsonl``.
        directory: Gets ``toy.jsonl`` and ``policies``.
    """
    (directory / "policies").mkdir(parents=True, exist_ok=True)
    lines = []
    for index, record in enumerate(records):
        name = f"{SETTING}_{index}"
        routes = [{**route, "domain": SETTING, "action": route["name"]} for route in record["routes"]]
        policy_set = json.dumps({"policy_set": name, "routes": routes})
        (directory / "policies" / f"{name}.json").write_text(policy_set, encoding="utf-8")
        messages = record["conversation"]
        conversation = {
            "id": name,
            "setting": SETTING,
            "granularity": "fine",
            "policy_set": name,
            "messages": messages,
            "labels": [{"turn": len(messages) - 1, "route": record["route"]}],
        }
        lines.append(json.dumps(conversation))
    (directory / f"{SETTING}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def record_of(example: Example) -> dict[str, object]:
    """Return an example in the form of ``golden.jsonl``, without what torch makes of it.

    Args:
        example: A toy conversation.

    Returns:
        Its routes, its messages, and the right route.
    """
    return {
        "routes": [{"name": route.name, "description": route.description} for route in example.routes],
        "conversation": [{"role": message.role, "content": message.content} for message in example.conversation],
        "route": example.route_name,
    }


if __name__ == "__main__":
    main()
