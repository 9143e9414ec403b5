"""Folders of records: what is written is read back, and what breaks the format is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data.folders import FolderError, replaced_file, replaced_folder
from data.record_files import by_description, folder_files, read_records, read_wordings, write_records
from data.records import Record, RecordError, assistant, check_structure, granularity_of, make_route, user
from tests.support.benchmark_folder import write_benchmark
from tests.support.routing_records import make_folder

from archrouter.evaluation.dataset import DatasetError, Granularity, read_dataset

FOLDER = make_folder(1)
WORDINGS = {"workshop": {"wood": ("Timber and all that",)}}


def test_records_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """Text, labels, policies and provenance survive, in the order of settings."""
    write_records(tmp_path / "out", FOLDER)

    assert sorted(FOLDER, key=lambda record: record.setting) == list(read_records(tmp_path / "out"))


def test_what_is_written_is_a_benchmark_folder(tmp_path: Path) -> None:
    """The benchmark's own reader takes it, further fields and all."""
    write_records(tmp_path / "out", FOLDER, WORDINGS)

    assert len(FOLDER) == len(read_dataset(tmp_path / "out").conversations)


def test_any_benchmark_folder_is_read(tmp_path: Path) -> None:
    """Fields that only records have are unknown there."""
    (record,) = read_records(write_benchmark(tmp_path))

    assert "made up" == record.provenance.source
    assert ("unknown", "und", ()) == (
        record.provenance.license,
        record.provenance.language,
        record.provenance.augmentations,
    )
    assert ((0, "code_write"), (2, "other")) == record.labels


def test_fields_of_somebody_else_are_kept(tmp_path: Path) -> None:
    """A generator's own notes are not lost on the way."""
    path = write_benchmark(tmp_path / "in", [{**_conversation(), "provenance": {"models": ["a"]}}])

    write_records(tmp_path / "out", read_records(path))

    line = json.loads((tmp_path / "out" / "talk.jsonl").read_text(encoding="utf-8"))
    assert {"models": ["a"]} == line["provenance"]


def _conversation() -> dict[str, Any]:  # Any: JSON
    write: dict[str, Any] = json.loads((folder_files(FOLDER)["workshop.jsonl"]).split("\n")[0])
    return {
        **write,
        "setting": "talk",
        "policy_set": "talk_set",
        "labels": [{"turn": 0, "route": "code"}],
    }


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("augmentations", "typos", "augmentations: must be a list of texts"),
        ("sources", [1], "sources: must be a list of texts"),
        ("seed", "1", "seed: is"),
        ("language", "", "language: is"),
    ],
)
def test_malformed_provenance_is_refused_with_its_line(
    field: str, value: object, expected: str, tmp_path: Path
) -> None:
    """The benchmark's reader lets these fields be, ours does not."""
    path = write_benchmark(tmp_path / "in", [{**_conversation(), field: value}])

    with pytest.raises(DatasetError, match=f"talk.jsonl:1: {expected}"):
        read_records(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda record: replace(record, turns=record.turns[:1] * 2), "user, user"),
        (lambda record: replace(record, turns=(*record.turns, assistant("Bye"))), "must alternate"),
        (lambda record: replace(record, turns=()), "these are none"),
        (
            lambda record: replace(
                record, turns=(user("a", "other"), replace(assistant("b"), route="other"), user("c"))
            ),
            "an assistant's message has a label",
        ),
    ],
)
def test_a_record_that_breaks_the_structure_is_refused(change: Callable[[Record], Record], expected: str) -> None:
    """With its id, and with what is wrong."""
    with pytest.raises(RecordError, match=f"workshop/talk-0: .*{expected}"):
        check_structure(change(FOLDER[0]))


def test_a_label_that_is_no_route_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """The folder appears whole or not at all."""
    wrong = replace(FOLDER[0], turns=(user("saw it", "sawing"),))

    with pytest.raises(RecordError, match=r"^workshop.jsonl:1: labels\[0\].route"):
        write_records(tmp_path / "out", [wrong])

    assert ["in"] == [path.name for path in tmp_path.iterdir()]


def test_two_policy_sets_of_one_name_are_refused() -> None:
    """One file cannot hold both."""
    other = replace(FOLDER[0], id="workshop/x", routes=FOLDER[0].routes[::-1])

    with pytest.raises(RecordError, match="workshop/x: policy set 'workshop' has other routes"):
        folder_files([FOLDER[0], other])


def test_a_folder_that_is_there_is_replaced_only_on_demand(tmp_path: Path) -> None:
    """Nothing is lost by accident."""
    write_records(tmp_path / "out", FOLDER)

    with pytest.raises(FolderError, match="exists already"):
        write_records(tmp_path / "out", FOLDER[:1])
    write_records(tmp_path / "out", FOLDER[:1], overwrite=True)

    assert 1 == len(read_records(tmp_path / "out"))


def test_a_folder_that_holds_other_things_is_never_replaced(tmp_path: Path) -> None:
    """Even on demand: it may be somebody's home."""
    (tmp_path / "in" / "thesis.tex").touch()

    with pytest.raises(FolderError, match=r"thesis\.tex"), replaced_folder(tmp_path / "in", overwrite=True):
        pass

    assert (tmp_path / "in" / "thesis.tex").exists()


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """What fails half-way leaves what was there before."""
    path = tmp_path / "lines.jsonl"
    path.write_text("before")

    def fail() -> None:
        with replaced_file(path) as file:
            file.write("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert "before" == path.read_text()
    assert ["in", "lines.jsonl"] == sorted(each.name for each in tmp_path.iterdir())


def test_wordings_are_read_back_by_policy_set_and_by_description(tmp_path: Path) -> None:
    """So that a change can find them for a route that was renamed."""
    write_records(tmp_path / "out", FOLDER, WORDINGS)

    wordings = read_wordings(tmp_path / "out", FOLDER)

    assert WORDINGS == wordings
    assert {"Other matters of wood, such as buying it": ("Timber and all that",)} == by_description(FOLDER, wordings)


@pytest.mark.parametrize("content", ['{"wordings": {"nothing": ["x"]}}', '{"wordings": {"wood": "x"}}', "{}", "no"])
def test_malformed_wordings_are_refused_with_their_file(content: str, tmp_path: Path) -> None:
    """A wording for a route that is not there would silently do nothing."""
    write_records(tmp_path / "out", FOLDER, WORDINGS)
    (tmp_path / "out" / "wordings" / "workshop.json").write_text(content)

    with pytest.raises(DatasetError, match=r"workshop\.json: "):
        read_wordings(tmp_path / "out", FOLDER)


def test_answers_are_coarse_when_no_route_has_an_action() -> None:
    """And fine as soon as one has."""
    whole, part = make_route("a", "a", "", "x"), make_route("a_b", "a", "b", "y")

    assert Granularity.COARSE is granularity_of([whole])
    assert Granularity.FINE is granularity_of([whole, part])
