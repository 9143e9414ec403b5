"""The card of a folder: what it counts, and how it is written."""

import json
from pathlib import Path

import pytest
from data.__main__ import main
from data.card import as_markdown, as_table, count
from data.record_files import write_records
from data.records import Provenance, Record, assistant, granularity_of, make_route, user

ROUTES = (
    make_route("text_translate", "text", "translate", "Translate a passage"),
    make_route("text", "text", "", "Other questions about texts"),
)
RECORDS = (
    Record(
        "desk/1",
        "desk",
        granularity_of(ROUTES),
        "desk",
        ROUTES,
        (
            user("put this into Polish please", "text_translate"),
            assistant("Proszę."),
            user("why"),
            assistant("?"),
            user("thanks", "other"),
        ),
        Provenance("made up", "Apache-2.0", "tests", "en"),
    ),
    Record(
        "desk/2",
        "desk",
        granularity_of(ROUTES),
        "desk",
        ROUTES,
        (user("was ist ein Komma", "text"),),
        Provenance("made up", "Apache-2.0", "tests", "de", ("renamed:kebab", "typos"), 1, ("desk/1",)),
    ),
)


def test_turns_are_counted_by_label() -> None:
    """By its kind, its domain, its action; turns without a label are counted apart."""
    counts = count(RECORDS)

    assert (2, 3, 1, 1, 2, 1) == (
        counts.conversations,
        counts.labelled_turns,
        counts.unlabelled_turns,
        counts.policy_sets,
        counts.policies,
        counts.domains,
    )
    assert {"action": 1, "domain": 1, "other": 1} == counts.tables["turns by kind of label"]
    assert {"(other)": 1, "text": 2} == counts.tables["turns by domain"]
    assert {"(other)": 1, "text / (whole domain)": 1, "text / translate": 1} == counts.tables["turns by action"]


def test_conversations_are_counted_by_length_language_and_augmentation() -> None:
    """A change counts once for each record, without its detail."""
    tables = count(RECORDS).tables

    assert {"1": 1, "3": 1} == tables["conversations by user's turns"]
    assert {"de": 1, "en": 1} == tables["conversations by language"]
    assert {"(none)": 1, "renamed": 1, "typos": 1} == tables["conversations by augmentation"]
    assert (3, 1) == tuple(tables["user's messages by words"].values())[:2]


@pytest.mark.parametrize(("words", "expected"), [(4, "0 to 4"), (5, "5 to 9"), (99, "50 to 99"), (100, "100 and more")])
def test_a_message_is_in_the_class_of_its_words(words: int, expected: str) -> None:
    """Upper ends belong to their class."""
    record = Record("a/1", "a", granularity_of(ROUTES), "a", ROUTES, (user("word " * words, "text"),))

    assert 1 == count([record]).tables["user's messages by words"][expected]


def test_a_folder_without_changes_has_no_table_of_them() -> None:
    """A table of nothing says nothing."""
    assert "augmentation" not in as_markdown(count(RECORDS[:1]))


def test_a_table_has_shares_where_they_add_up() -> None:
    """A record may have several changes, so these have none."""
    assert "| kind | turns | share |\n| --- | ---: | ---: |\n| a | 1 | 25.0% |\n| b | 3 | 75.0% |" == as_table(
        "turns by kind", {"a": 1, "b": 3}
    )
    assert "| augmentation | conversations |\n| --- | ---: |\n| typos | 3 |" == as_table(
        "conversations by augmentation", {"typos": 3}
    )


def test_the_command_prints_or_writes_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text both ways."""
    write_records(tmp_path / "records", RECORDS)
    path = tmp_path / "README.md"

    main(["card", str(tmp_path / "records"), "--title", "Ours"])
    printed = capsys.readouterr().out
    main(["card", str(tmp_path / "records"), "--title", "Ours", "--output", str(path)])

    assert printed == path.read_text(encoding="utf-8")
    assert printed.startswith("# Ours\n\n2 conversations, 3 labelled turns")


def test_the_command_prints_counts_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs, without the Markdown."""
    write_records(tmp_path / "records", RECORDS)

    main(["card", str(tmp_path / "records"), "--json"])

    document = json.loads(capsys.readouterr().out)
    assert 3 == document["labelled_turns"]
    assert {"de": 1, "en": 1} == document["conversations_by_language"]
