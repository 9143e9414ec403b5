"""All changes together: the same seed gives the same bytes, and every record says how it was made."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from data.augment.command import main, make_material
from data.augment.compose import CHANGES, augment, count_by_change
from data.augment.drawing import count_between, seeded
from data.augment.settings import DEFAULT_FILE, Overlap, Probabilities, Settings, SettingsError, read_settings
from data.record_files import folder_files, read_records, write_records
from data.records import Provenance, Record
from tests.support.routing_records import SETS, make_folder

from archrouter.evaluation.dataset import read_dataset

FOLDER = make_folder(3)
SETTINGS = Settings(
    seed=5, copies=3, probability=Probabilities(**dict.fromkeys(CHANGES, 0.5)), overlap=Overlap(apart=SETS)
)


def versions(settings: Settings = SETTINGS, folder: tuple[Record, ...] = FOLDER) -> list[Record]:
    """Augment the folder."""
    return list(augment(folder, settings, make_material(folder, {}, settings)))


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Nothing but the records, the settings and the seed has a say."""
    assert folder_files(versions()) == folder_files(versions())


def test_another_seed_gives_other_records() -> None:
    """The seed is what choices are drawn from."""
    assert folder_files(versions()) != folder_files(versions(SETTINGS.model_copy(update={"seed": 6})))


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """The order of sets differs from process to process by Python's hash seed, and must not matter."""
    write_records(tmp_path / "clean", FOLDER)
    contents = []
    for hash_seed in ("1", "2"):
        output = tmp_path / hash_seed
        command = [sys.executable, "-m", "data", "augment", str(tmp_path / "clean"), str(output), "--seed", "7"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}

        subprocess.run(command, check=True, env=environment, capture_output=True)

        contents.append({path.relative_to(output): path.read_bytes() for path in output.rglob("*.json*")})
    assert contents[0] == contents[1]


def test_every_version_says_how_it_was_made() -> None:
    """Changes, seed and the record it comes from; the records themselves name none."""
    by_kind = Counter(bool(record.provenance.augmentations) for record in versions())

    assert len(FOLDER) == by_kind[False]
    for record in versions():
        if "~" in record.id:
            assert record.provenance.augmentations
            assert 5 == record.provenance.seed
            assert record.id.split("~")[0] == record.provenance.sources[0]
        else:
            assert ((), None, ()) == (
                record.provenance.augmentations,
                record.provenance.seed,
                record.provenance.sources,
            )


def test_a_version_does_not_depend_on_the_other_records_of_its_policy_set() -> None:
    """Leaving the last policy set's records out of what is augmented changes nothing for the others."""
    material = make_material(FOLDER, {}, SETTINGS)

    some = list(augment(FOLDER[:3], SETTINGS, material))

    assert some == list(augment(FOLDER, SETTINGS, material))[: len(some)]


def test_originals_can_be_left_out() -> None:
    """Then every record is a changed one."""
    made = versions(SETTINGS.model_copy(update={"keep_originals": False}))

    assert all(record.provenance.augmentations for record in made)


def test_no_version_is_there_twice() -> None:
    """A copy to which nothing happened, or the same as to another, is not written."""
    still = Settings(copies=4, probability=Probabilities())

    assert list(FOLDER) == versions(still)


def test_every_change_is_made_now_and_then() -> None:
    """The properties of the labels would hold of changes that never happen."""
    settings = SETTINGS.model_copy(update={"copies": 12})
    folders = [make_folder(seed) for seed in range(3)]

    made = count_by_change(record for folder in folders for record in versions(settings, folder))

    assert list(CHANGES) == list(made)


def test_the_command_writes_a_benchmark_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it writes is read by the benchmark's own reader and by ours, and keeps its sources apart."""
    write_records(tmp_path / "clean", FOLDER)

    status = main([str(tmp_path / "clean"), str(tmp_path / "hard"), "--copies", "2"])

    assert 0 == status
    assert "7 records became" in capsys.readouterr().out
    records = read_records(tmp_path / "hard")
    assert len(read_dataset(tmp_path / "hard").conversations) == len(records)
    assert {record.id for record in FOLDER} <= {record.id for record in records}
    assert {"~1", "~2"} == {record.id[-2:] for record in records if "~" in record.id}


def test_given_wordings_replace_descriptions() -> None:
    """A wording that people wrote beside the records comes before the rules."""
    settings = Settings(copies=20, keep_originals=False, probability=Probabilities(reworded=1.0))
    given = "Sawing boards and beams to size"
    material = make_material(FOLDER, {"Use for sawing of wood": (given,)}, settings)

    descriptions = {route.description for record in augment(FOLDER, settings, material) for route in record.routes}

    assert given in descriptions


def test_the_committed_configuration_is_valid_and_uses_every_change() -> None:
    """Nothing of it is unknown, and no change is forgotten."""
    settings = read_settings(DEFAULT_FILE)

    assert all(getattr(settings.probability, name) > 0 for name in CHANGES)


def test_the_probabilities_are_those_of_the_changes() -> None:
    """A change without a probability could not be configured."""
    assert set(CHANGES) == set(Probabilities.model_fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed = ", "is no TOML"),
        ("sead = 1", "sead"),
        ("[probability]\ntypos = 1.5", "probability.typos"),
        ("[amount]\ndistractors = [5, 2]", "distractors: 5 to 2"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    """The message begins with the file and names the key."""
    path = tmp_path / "augment.toml"
    path.write_text(text)

    with pytest.raises(SettingsError) as refused:
        read_settings(path)

    assert str(refused.value).startswith(str(path))
    assert expected in str(refused.value)


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none.toml")


def test_overlap_goes_both_ways() -> None:
    """A set overlaps with itself, with its group, and with those that overlap with all."""
    overlap = Overlap(groups=(frozenset({"a", "b"}), frozenset({"b", "c"})), with_all=frozenset({"z"}))

    assert all(overlap.overlaps(one, other) for one, other in ("aa", "ab", "ba", "bc", "za", "az"))
    assert not overlap.overlaps("a", "c")


def test_a_set_that_is_named_nowhere_overlaps_with_all() -> None:
    """Until somebody says that it is apart."""
    assert Overlap(apart=frozenset({"a"})).overlaps("a", "new")
    assert not Overlap(apart=frozenset({"a", "new"})).overlaps("a", "new")


def test_the_command_says_which_sets_nothing_was_mixed_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A team's own set is not in the configuration of the seed corpus."""
    write_records(tmp_path / "clean", FOLDER)

    main([str(tmp_path / "clean"), str(tmp_path / "hard")])

    shown = capsys.readouterr().out
    assert "nothing of other policy sets was put into bakery, harbour, workshop: [overlap] in " in shown
    assert "distractors" not in shown
    assert "off_topic" not in shown


def test_records_that_do_not_say_their_language_can_be_told_it(tmp_path: Path) -> None:
    """Turns are put in only where their language is known."""
    silent = [replace(record, provenance=Provenance("made up", "Apache-2.0", "tests")) for record in FOLDER]
    write_records(tmp_path / "clean", silent)
    arguments = [str(tmp_path / "clean"), "--copies", "9"]

    main([arguments[0], str(tmp_path / "without"), *arguments[1:]])
    main([arguments[0], str(tmp_path / "with"), *arguments[1:], "--language", "en"])

    made = [count_by_change(read_records(tmp_path / name)) for name in ("without", "with")]
    assert ["topic_switch" in changes for changes in made] == [False, True]


def test_counts_are_drawn_within_their_range() -> None:
    """Both ends occur, and small counts more often."""
    random = seeded(1)
    drawn = [count_between(2, 20, random) for _ in range(1000)]

    assert (2, 20) == (min(drawn), max(drawn))
    assert sum(count < 11 for count in drawn) > 600
