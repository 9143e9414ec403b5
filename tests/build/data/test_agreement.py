"""Cohen's kappa of two readers."""

import json
from pathlib import Path

import pytest
from data.__main__ import main
from data.agreement import Agreement, ReadingError, agreement, agreement_by_set, read_reading
from hypothesis import given
from hypothesis import strategies as st

LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30)


def reading(labels: str, policy_set: str = "set") -> dict[tuple[str, int], str]:
    """Write labels of one character each."""
    return {(f"{policy_set}/{index}", 0): label for index, label in enumerate(labels)}


def test_kappa_of_a_known_table() -> None:
    """The textbook case of 50 items: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no gives 0.4."""
    first = reading("y" * 25 + "n" * 25)
    second = reading("y" * 20 + "n" * 5 + "y" * 10 + "n" * 15)

    found = agreement(first, second)

    assert (35, 50) == (found.agreed_count, found.turn_count)
    assert pytest.approx(0.5) == found.chance
    assert pytest.approx(0.4) == found.kappa


def test_chance_is_computed_within_each_policy_set() -> None:
    """A reader of one set cannot choose another's routes, so pooling the labels would flatter the readers."""
    first = reading("ab", "one") | reading("cd", "two")
    second = reading("ab", "one") | reading("dc", "two")

    assert pytest.approx((0.5 - 0.5) / (1 - 0.5)) == agreement(first, second).kappa
    by_set = agreement_by_set(first, second)
    assert {"one": 1.0, "two": -1.0} == {name: each.kappa for name, each in by_set.items()}


@given(labels=LABELS)
def test_kappa_is_one_exactly_when_all_agree(labels: list[tuple[str, str]]) -> None:
    """And never above."""
    first, second = ("".join(pair[side] for pair in labels) for side in (0, 1))

    kappa = agreement(reading(first), reading(second)).kappa

    assert kappa <= 1 + 1e-12
    assert (first == second) == (kappa > 1 - 1e-12)


@given(labels=LABELS)
def test_kappa_does_not_depend_on_who_is_first(labels: list[tuple[str, str]]) -> None:
    """Nor on the order of the turns."""
    first, second = ("".join(pair[side] for pair in labels) for side in (0, 1))

    forward = agreement(reading(first), reading(second)).kappa

    assert pytest.approx(forward) == agreement(reading(second), reading(first)).kappa
    assert pytest.approx(forward) == agreement(reading(first[::-1]), reading(second[::-1])).kappa


def test_one_label_throughout_is_perfect_agreement() -> None:
    """Where chance alone would agree, the formula is nought by nought."""
    assert 1.0 == Agreement(turn_count=3, agreed_count=3, chance=1.0).kappa


def write(path: Path, text: str) -> Path:
    """Write a file of labels."""
    path.write_text(text, encoding="utf-8")
    return path


def test_a_reading_is_read_whatever_the_order_of_columns(tmp_path: Path) -> None:
    """Further columns are left alone, quotation marks are plain text, an empty route is a label of its own."""
    path = write(tmp_path / "a.tsv", 'route\tnote\tturn\tconversation\ncode\t"hm\t2\tdesk/a\n\t\t0\tdesk/b\n')

    assert {("desk/a", 2): "code", ("desk/b", 0): ""} == read_reading(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conversation\tturn\n", "has no column 'route'"),
        ("conversation\tturn\troute\ndesk\t0\ta\n", ":2: 'desk', turn '0' is no place"),
        ("conversation\tturn\troute\ndesk/a\tx\ta\n", ":2: 'desk/a', turn 'x' is no place"),
        ("conversation\tturn\troute\ndesk/a\t0\ta\ndesk/a\t0\tb\n", ":3: desk/a turn 0 is there twice"),
    ],
)
def test_a_malformed_reading_is_refused_with_its_line(text: str, expected: str, tmp_path: Path) -> None:
    """Otherwise a typing mistake would pass for a disagreement."""
    with pytest.raises(ReadingError) as refused:
        read_reading(write(tmp_path / "a.tsv", text))

    assert expected in str(refused.value)


def test_a_missing_reading_is_refused(tmp_path: Path) -> None:
    """With the file's name."""
    with pytest.raises(ReadingError, match=r"none\.tsv: cannot be read"):
        read_reading(tmp_path / "none.tsv")


def test_readings_of_other_turns_are_refused() -> None:
    """Agreement is about the same turns."""
    with pytest.raises(ReadingError, match="did not read the same turns"):
        agreement(reading("ab"), reading("a"))
    with pytest.raises(ReadingError, match="there is none"):
        agreement({}, {})


def test_the_command_prints_kappa_and_the_disagreements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For all turns and for each policy set; a missing label is a dash."""
    head = "conversation\tturn\troute\n"
    first = write(tmp_path / "first.tsv", f"{head}one/a\t0\tx\none/b\t0\ty\n")
    second = write(tmp_path / "second.tsv", f"{head}one/a\t0\tx\none/b\t0\t\n")

    main(["agreement", str(first), str(second)])
    lines = capsys.readouterr().out.splitlines()
    main(["agreement", str(first), str(second), "--json"])
    document = json.loads(capsys.readouterr().out)

    assert [
        "all: kappa 0.333, 1 of 2 turns agree (50.0%)",
        "one: kappa 0.333, 1 of 2 turns agree (50.0%)",
        "  one/b turn 0: y or -",
    ] == lines
    assert {"turns": 2, "agreed": 1, "observed": 0.5, "kappa": 0.3333} == document["overall"]
