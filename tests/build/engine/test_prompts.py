"""Calibration prompts are those the service would send, and near enough in length that padding does not matter."""

import json
from pathlib import Path

import pytest
from engine.program import BadInputError
from engine.prompts import most_alike, write_prompts
from engine.settings import DEFAULT_FILE, read_settings
from tests.support.toy_records import write_toy_records

from archrouter.bundles.loader import load_bundle
from archrouter.domain.conversation import Conversation
from archrouter.evaluation.dataset import read_dataset

LIMITS = read_settings(DEFAULT_FILE).quantization


def lengthen(records: Path, number: int, word_count: int) -> None:
    """Make the message of one record longer."""
    (file,) = records.glob("*.jsonl")
    lines = file.read_text("utf-8").splitlines()
    record = json.loads(lines[number])
    record["messages"][0]["content"] += " song" * word_count
    lines[number] = json.dumps(record)
    file.write_text("\n".join(lines) + "\n", "utf-8")


def test_prompts_tokenise_to_the_services_ids(probed: Path, tmp_path: Path) -> None:
    """The column ``text`` of the split ``train`` holds the whole prompt, chat template included."""
    records, output, bundle = write_toy_records(tmp_path / "records", 12), tmp_path / "prompts", load_bundle(probed)

    write_prompts(bundle, records, 4, LIMITS, output)

    texts = [json.loads(line)["text"] for line in (output / "train.jsonl").read_text("utf-8").splitlines()]
    dataset = read_dataset(records)
    compiled = bundle.compiler.compile(dataset.policy_sets["toy"])
    expected = {compiled.assemble(Conversation.from_messages(one.messages)).ids for one in dataset.conversations}
    assert 4 == len(texts)
    assert {bundle.tokenizer.encode_template(text) for text in texts} <= expected


def test_the_prompts_that_are_most_alike_in_length_are_chosen() -> None:
    """The script pads to the longest without a mask: one long prompt would drown all others in padding."""
    prompts = [tuple(range(length)) for length in (400, 100, 195, 210, 200, 1000, 990)]

    assert [195, 200, 210] == [len(ids) for ids in most_alike(prompts, 3)]
    assert [990, 1000] == [len(ids) for ids in most_alike(prompts, 2)]


def test_records_whose_prompts_differ_in_length_are_refused(probed: Path, tmp_path: Path) -> None:
    """The message says how far apart they are, and what to do."""
    records = write_toy_records(tmp_path / "records", 3)
    lengthen(records, 2, 200)
    bundle = load_bundle(probed)

    with pytest.raises(BadInputError, match=r"have \d+ to \d+ tokens: more than 10% of the shortest would be padding"):
        write_prompts(bundle, records, 3, LIMITS, tmp_path / "prompts")
    write_prompts(bundle, records, 2, LIMITS, tmp_path / "prompts")
    assert 2 == len((tmp_path / "prompts" / "train.jsonl").read_text("utf-8").splitlines())


@pytest.mark.parametrize("count", [0, 13])
def test_a_number_the_records_do_not_have_is_refused(probed: Path, tmp_path: Path, count: int) -> None:
    """A calibration on fewer prompts than asked for would not be what the log says."""
    records = write_toy_records(tmp_path / "records", 12)

    with pytest.raises(BadInputError, match=rf"has 12 labelled turns .* calibration takes {count}"):
        write_prompts(load_bundle(probed), records, count, LIMITS, tmp_path / "prompts")
    assert not (tmp_path / "prompts").exists()


def test_a_folder_without_records_is_refused(probed: Path, tmp_path: Path) -> None:
    """The message is the reader's own."""
    with pytest.raises(BadInputError, match=r"no \*\.jsonl file"):
        write_prompts(load_bundle(probed), tmp_path / "nowhere", 4, LIMITS, tmp_path / "prompts")
