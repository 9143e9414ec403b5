"""Step prompts: render routing prompts that quantisation calibrates on, because news text says nothing about routing.

The quantisation script reads a local folder as a dataset: its split ``train``, column ``text``.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.writer import atomic_directory
from archrouter.domain.conversation import Conversation
from archrouter.evaluation.dataset import DatasetError, read_dataset
from engine.errors import BadInputError
from engine.program import make_parser, run_program

PROMPTS_FILE = "train.jsonl"


def write_prompts(bundle: PromptBundle, records: Path, count: int, output: Path) -> None:
    """Render prompts of labelled turns, spread evenly over the records.

    Args:
        bundle: Tokenizer and prompt of the weights.
        records: Labelled conversations, as ``archrouter eval`` reads them.
        count: Prompts to write, >= 1.
        output: Folder to make; must not exist.

    Raises:
        BadInputError: When there are too few turns.
    """
    try:
        dataset = read_dataset(records)
    except DatasetError as error:
        raise BadInputError(str(error)) from error
    turns = [(conversation, label) for conversation in dataset.conversations for label in conversation.labels]
    if not 1 <= count <= len(turns):
        msg = f"{records} has {len(turns)} labelled turns, calibration takes {count}; give more records"
        raise BadInputError(msg)
    compiled = {name: bundle.compiler.compile(policy_set) for name, policy_set in dataset.policy_sets.items()}
    with atomic_directory(output) as scratch, (scratch / PROMPTS_FILE).open("w", encoding="utf-8") as file:
        for conversation, label in turns[:: len(turns) // count][:count]:
            messages = Conversation.from_messages(conversation.prefix(label))
            text = bundle.tokenizer.decode(compiled[conversation.policy_set].assemble(messages).ids)
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Run the step.

    Args:
        arguments: Of the command line.

    Returns:
        Exit code.
    """
    parser = make_parser(
        "prompts",
        "Render routing prompts for the calibration of quantised weights.",
        ["--bundle out/engine/probe --records benchmarks/my-train-split --count 512 --output out/engine/prompts"],
    )
    parser.add_argument("--bundle", required=True, type=Path, help="output of the step probe")
    parser.add_argument("--records", required=True, type=Path, help="folder of labelled conversations; no test split")
    parser.add_argument("--count", required=True, type=int, help="prompts to write")
    parser.add_argument("--output", required=True, type=Path, help="folder to make; must not exist")
    options = parser.parse_args(arguments)
    return run_program(
        "prompts", lambda: write_prompts(load_bundle(options.bundle), options.records, options.count, options.output)
    )
