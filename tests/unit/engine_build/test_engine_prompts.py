"""Calibration prompts are those the service would send."""

import json
from pathlib import Path

import pytest
from engine import prompts
from toy_records import write_toy_records

from archrouter.bundles.loader import load_bundle
from archrouter.domain.conversation import Conversation
from archrouter.evaluation.dataset import read_dataset


def run(probed: Path, records: Path, count: int, output: Path) -> int:
    """Run the step."""
    return prompts.main(
        ["--bundle", str(probed), "--records", str(records), "--count", str(count), "--output", str(output)]
    )


def test_prompts_are_spread_over_the_records_and_tokenise_to_the_services_ids(probed: Path, tmp_path: Path) -> None:
    """The column ``text`` of the split ``train`` holds the whole prompt, chat template included."""
    records, output = write_toy_records(tmp_path / "records", 12), tmp_path / "prompts"

    code = run(probed, records, 4, output)

    texts = [json.loads(line)["text"] for line in (output / "train.jsonl").read_text("utf-8").splitlines()]
    bundle = load_bundle(probed)
    dataset = read_dataset(records)
    conversation = Conversation.from_messages(dataset.conversations[3].messages)
    expected = bundle.compiler.compile(dataset.policy_sets["toy"]).assemble(conversation)
    assert 0 == code
    assert ["0", "3", "6", "9"] == [text.partition("song number ")[2].partition('"')[0] for text in texts]
    assert expected.ids == bundle.tokenizer.encode_template(texts[1])


@pytest.mark.parametrize("count", [0, 13])
def test_a_number_the_records_do_not_have_is_refused(
    probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    """A calibration on fewer prompts than asked for would not be what the log says."""
    records = write_toy_records(tmp_path / "records", 12)

    assert 2 == run(probed, records, count, tmp_path / "prompts")
    assert f"has 12 labelled turns, calibration takes {count}" in capsys.readouterr().err
    assert not (tmp_path / "prompts").exists()


def test_a_folder_without_records_is_refused(probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message is the reader's own."""
    assert 2 == run(probed, tmp_path / "nowhere", 4, tmp_path / "prompts")
    assert "no *.jsonl file" in capsys.readouterr().err
