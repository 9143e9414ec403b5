"""Duplicates inside a folder, and leaks between a folder and a benchmark."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from data.__main__ import main
from data.dedup import deduplicate
from data.leakage import Kind, find_leaks
from data.record_files import read_records, read_wordings, write_records
from data.records import Record, Turn, assistant, granularity_of, make_route, user
from data.similarity import similar_pairs
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

ROUTES = (
    make_route("text_translate", "text", "translate", "Translate a passage from one language into another language"),
    make_route("text", "text", "", "Other questions about texts"),
)


def record(name: str, *turns: Turn, policy_set: str = "desk") -> Record:
    """Make a record of two routes."""
    return Record(f"{policy_set}/{name}", policy_set, granularity_of(ROUTES), policy_set, ROUTES, turns)


def single(name: str, text: str, route: str = "text_translate", policy_set: str = "desk") -> Record:
    """Make a record of one turn."""
    return record(name, user(text, route), policy_set=policy_set)


FIRST = single("a", "Please put this letter to my landlord into Polish for me")
SAME = single("b", "please put this letter, to my landlord, into polish for me!!")
NEAR = single("c", "Please put the letter to my landlord into Polish for us")
APART = single("d", "How do commas work in German?", "text")


def test_the_first_of_equal_conversations_stays() -> None:
    """Letter case and punctuation make no difference; what is merely alike goes too."""
    found = deduplicate([FIRST, SAME, NEAR, APART], 0.85)

    assert (FIRST, APART) == found.kept
    assert [("desk/b", "desk/a"), ("desk/c", "desk/a")] == [(each.id, each.kept_id) for each in found.duplicates]
    assert 1.0 == found.duplicates[0].similarity > found.duplicates[1].similarity >= 0.85


def test_only_equal_conversations_go_at_threshold_one() -> None:
    """The threshold is a choice."""
    assert (FIRST, NEAR, APART) == deduplicate([FIRST, SAME, NEAR, APART], 1.0).kept


def test_all_the_users_messages_count() -> None:
    """The same opening with another follow-up is another conversation; what the assistant says does not count."""
    one = record("a", *FIRST.turns, assistant("Here."), user("shorter, and less formal, and sign it", "text_translate"))
    other = record("b", *FIRST.turns, assistant("Here."), user("thanks", "other"))
    reply = record("c", *FIRST.turns, assistant("There you go!"), user("thanks", "other"))

    assert (one, other) == deduplicate([one, other, reply], 0.85).kept


def test_policy_sets_are_compared_only_on_demand() -> None:
    """The same text against other policies is another sample."""
    elsewhere = single("a", FIRST.turns[0].text, policy_set="other-desk")

    assert (FIRST, elsewhere) == deduplicate([FIRST, elsewhere], 0.85).kept
    assert (FIRST,) == deduplicate([FIRST, elsewhere], 0.85, across_sets=True).kept


def test_a_duplicate_with_another_label_is_pointed_out() -> None:
    """One of the two labels is wrong, or the text undecidable."""
    doubtful = single("b", FIRST.turns[0].text, "text")

    (found,) = deduplicate([FIRST, doubtful], 0.85).duplicates

    assert not found.same_labels


def test_messages_of_signs_only_are_equal_only_to_themselves() -> None:
    """A thumb up is not a thumb down, though neither has a word."""
    up, down, again = (record(name, user(sign, "other")) for name, sign in (("a", "👍"), ("b", "👎"), ("c", "👍")))

    assert (up, down) == deduplicate([up, down, again], 0.85).kept


@given(texts=st.lists(st.text(alphabet="ab c", min_size=1, max_size=12), min_size=1, max_size=8))
def test_similar_pairs_are_all_pairs_at_or_above_the_threshold(texts: list[str]) -> None:
    """None is missed, none is made up, as comparing one by one shows."""
    expected = {
        (query, choice)
        for query, one in enumerate(texts)
        for choice, other in enumerate(texts)
        if fuzz.ratio(one, other) >= 70
    }

    assert expected == {(pair.query, pair.choice) for pair in similar_pairs(texts, texts, 0.7)}


def test_the_dedup_command_writes_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the wordings of its policies."""
    wordings = {"desk": {"text": ("All about texts",)}}
    write_records(tmp_path / "in", [FIRST, SAME, APART], wordings)

    status = main(["dedup", str(tmp_path / "in"), str(tmp_path / "out"), "--json"])

    kept = read_records(tmp_path / "out")
    assert 0 == status
    assert (FIRST, APART) == kept
    assert wordings == read_wordings(tmp_path / "out", kept)
    assert "desk/b" == json.loads(capsys.readouterr().out)["duplicates"][0]["id"]


def test_the_dedup_command_lists_duplicates_without_an_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doubtful labels catch the eye."""
    write_records(tmp_path / "in", [FIRST, replace(SAME, turns=(replace(SAME.turns[0], route="text"),))])

    main(["dedup", str(tmp_path / "in")])

    assert [
        "1 records kept, 1 duplicates left out",
        "  desk/b is the same as desk/a BUT HAS OTHER LABELS",
    ] == capsys.readouterr().out.splitlines()


def test_a_long_list_of_duplicates_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole list is for programs."""
    write_records(tmp_path / "in", [single(f"r{index}", FIRST.turns[0].text) for index in range(30)])

    main(["dedup", str(tmp_path / "in")])

    assert "  and 9 more; --json lists all" == capsys.readouterr().out.splitlines()[-1]


BENCHMARK = replace(
    single("x", "please put this letter to my landlord into polish for me", policy_set="bench"),
    routes=(make_route("t", "text", "", "Translation of a passage from one language into another language"),),
    turns=(user("please put this letter to my landlord into polish for me", "t"),),
)


def test_a_message_of_the_benchmark_is_found() -> None:
    """The same text, and nearly the same."""
    leaks = find_leaks([FIRST, NEAR, APART], [BENCHMARK], 0.85)

    assert [
        (Kind.EXACT, "desk/a, message 0", "bench/x, message 0"),
        (Kind.NEAR, "desk/c, message 0", "bench/x, message 0"),
    ] == [(leak.kind, leak.place, leak.benchmark_place) for leak in leaks if "message" in leak.place]


def test_a_run_of_words_of_the_benchmark_is_found() -> None:
    """Pasted into a longer message, where the whole is not alike."""
    pasted = single(
        "e", "Hi! I have 3 wishes: " + "please put this letter to my landlord into polish " + "and 9 more " * 20
    )

    (leak, *_) = find_leaks([pasted], [BENCHMARK], 0.85)

    assert (Kind.RUN, "desk/e, message 0") == (leak.kind, leak.place)


def test_a_description_of_the_benchmark_is_found() -> None:
    """Policies count as well as messages."""
    (leak,) = [leak for leak in find_leaks([APART], [BENCHMARK], 0.8) if leak.place.startswith("policy set")]

    assert ("policy set desk, route text_translate", "policy set bench, route t") == (leak.place, leak.benchmark_place)


def test_very_short_messages_are_no_leak() -> None:
    """Thanks are everybody's."""
    ours, theirs = (record(name, user("Thanks a lot!", "other")) for name in "ab")

    assert [] == [leak for leak in find_leaks([ours], [theirs], 0.85) if "message" in leak.place]


@pytest.mark.parametrize(("text", "status"), [(FIRST.turns[0].text, 1), ("Which tenses does Polish have, if any?", 0)])
def test_the_leakage_command_fails_when_something_leaks(
    text: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit status can guard a training run."""
    ours = replace(single("a", text, "text"), routes=(make_route("text", "text", "", "Anything written"),))
    write_records(tmp_path / "ours", [ours])
    write_records(tmp_path / "bench", [BENCHMARK])

    found = main(["leakage", str(tmp_path / "ours"), "--against", str(tmp_path / "bench")])

    assert status == found
    assert capsys.readouterr().out.startswith("1 leaks: 1 records against 1" if status else "clean: 1 records")


def test_the_leakage_command_lists_leaks_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with both texts and places."""
    write_records(tmp_path / "ours", [NEAR])
    write_records(tmp_path / "bench", [BENCHMARK])

    main(["leakage", str(tmp_path / "ours"), "--against", str(tmp_path / "bench"), "--json"])

    (leak, *_) = json.loads(capsys.readouterr().out)["leaks"]
    assert ("near", "desk/c, message 0", BENCHMARK.turns[0].text) == (
        leak["kind"],
        leak["place"],
        leak["benchmark_text"],
    )
