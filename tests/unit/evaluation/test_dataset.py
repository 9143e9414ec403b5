"""The benchmark folder, well-formed and not."""

import json
from pathlib import Path

import pytest
from tests.support.benchmark_folder import CONVERSATION, POLICY_SET, write_benchmark

from archrouter.domain.conversation import Message, Role
from archrouter.evaluation.dataset import DatasetError, Granularity, Label, read_dataset, read_policy_sets


def test_dataset_reads_conversations_and_policy_sets(tmp_path: Path) -> None:
    """A folder becomes typed conversations, and a policy set whose routes keep their order."""
    dataset = read_dataset(write_benchmark(tmp_path))

    (conversation,) = dataset.conversations
    assert ("talk-1", "talk", Granularity.FINE) == (conversation.id, conversation.setting, conversation.granularity)
    assert (Label(0, "code_write"), Label(2, "other")) == conversation.labels
    assert ["code_write", "code"] == [route.id for route in dataset.policy_sets["talk_set"].routes]
    assert 2 == dataset.turn_count


def test_source_is_the_setting_where_the_file_does_not_say(tmp_path: Path) -> None:
    """A conversation's source is its own word; without one its setting stands for it."""
    silent = {key: value for key, value in CONVERSATION.items() if key != "source"} | {"id": "talk-2"}

    dataset = read_dataset(write_benchmark(tmp_path, [CONVERSATION, silent]))

    assert ["made up", "talk"] == [conversation.source for conversation in dataset.conversations]


def test_all_policy_sets_are_read_whether_named_or_not(tmp_path: Path) -> None:
    """Distractors come from every policy set of the folder; each is checked like those that are named."""
    write_benchmark(tmp_path)
    other_file = tmp_path / "policies" / "another.json"
    other_file.write_text(json.dumps(POLICY_SET | {"policy_set": "another"}), encoding="utf-8")

    assert ["another", "talk_set"] == list(read_policy_sets(tmp_path))

    other_file.write_text("{}", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"another\.json: policy_set: is missing"):
        read_policy_sets(tmp_path)


def test_prefix_ends_with_the_labelled_message(tmp_path: Path) -> None:
    """At a label the router sees the conversation up to that message; nothing later is shown."""
    (conversation,) = read_dataset(write_benchmark(tmp_path)).conversations

    first, second = (conversation.prefix(label) for label in conversation.labels)

    assert (Message(Role.USER, "write a loop"),) == first
    assert conversation.messages == second


def test_dataset_reads_chosen_settings_only(tmp_path: Path) -> None:
    """Settings that are not asked for are not even opened, so a broken one does not matter."""
    write_benchmark(tmp_path)
    (tmp_path / "broken.jsonl").write_text("{", encoding="utf-8")

    assert 1 == len(read_dataset(tmp_path, frozenset({"talk"})).conversations)


def test_limit_keeps_the_first_conversations_of_each_setting(tmp_path: Path) -> None:
    """A limited dataset still has every setting."""
    write_benchmark(tmp_path, [CONVERSATION | {"id": f"talk-{number}"} for number in range(3)])
    (tmp_path / "walk.jsonl").write_text(
        json.dumps(CONVERSATION | {"id": "walk-0", "setting": "walk"}), encoding="utf-8"
    )

    dataset = read_dataset(tmp_path).limited(1)

    assert ["talk-0", "walk-0"] == [conversation.id for conversation in dataset.conversations]


def test_lines_that_separate_text_do_not_separate_conversations(tmp_path: Path) -> None:
    """JSON Lines end with a line feed only: U+2028 inside a message does not count as an end of line."""
    messages = [{"role": "user", "content": "one\u2028two"}]
    conversation = CONVERSATION | {"messages": messages, "labels": [{"turn": 0, "route": "code"}]}
    write_benchmark(tmp_path)
    (tmp_path / "talk.jsonl").write_text(json.dumps(conversation, ensure_ascii=False) + "\n\n", encoding="utf-8")

    (read,) = read_dataset(tmp_path).conversations

    assert "one\u2028two" == read.messages[0].content


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"setting": "walk"}, "setting: is 'walk', but the file's name says 'talk'"),
        ({"id": ""}, 'id: is ""; it must be text that is not only spaces'),
        ({"id": 7}, "id: is 7; it must be text that is not only spaces"),
        ({"granularity": "medium"}, 'granularity: is "medium"; it must be fine or coarse'),
        ({"messages": "hi"}, 'messages: is "hi"; it must be a list'),
        ({"messages": ["hi"]}, 'messages[0]: is "hi"; it must be an object'),
        ({"messages": [{"role": "system", "content": "x"}]}, 'messages[0].role: is "system"; it must be user or'),
        ({"messages": [{"role": "user"}]}, "messages[0].content: is missing"),
        ({"labels": []}, "labels: is empty"),
        ({"labels": [{"turn": 3, "route": "code"}]}, "labels[0].turn: 3 is none of the 3 messages"),
        ({"labels": [{"turn": -1, "route": "code"}]}, "labels[0].turn: -1 is none of the 3 messages"),
        ({"labels": [{"turn": True, "route": "code"}]}, "labels[0].turn: is true; it must be a whole number"),
        ({"labels": [{"turn": 1, "route": "code"}]}, "labels[0].turn: message 1 is not from the user"),
        (
            {"labels": [{"turn": 2, "route": "code"}, {"turn": 0, "route": "code"}]},
            "labels[1].turn: 0 does not come after 2",
        ),
        ({"labels": [{"turn": 0, "route": "cook"}]}, "labels[0].route: 'cook' is neither 'other' nor a route of"),
        ({"policy_set": "none"}, "policy_set: 'none' has no file policies/none.json"),
        ({"policy_set": "../talk"}, "policy_set: '../talk' has no file"),
    ],
)
def test_bad_conversation_is_an_error_with_file_and_line(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    """Whatever is wrong with a conversation is named with its file, line and field."""
    write_benchmark(tmp_path, [CONVERSATION, CONVERSATION | {"id": "talk-2"} | change])

    with pytest.raises(DatasetError) as raised:
        read_dataset(tmp_path)

    assert str(raised.value).startswith(f"{tmp_path / 'talk.jsonl'}:2: {problem}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"policy_set": "walk_set"}, "policy_set: is 'walk_set', but the file's name says 'talk_set'"),
        ({"routes": []}, "routes: the set has no route"),
        ({"routes": [POLICY_SET["routes"][0]] * 2}, "routes[0].id: 'code_write' names 2 routes"),
        ({"routes": [POLICY_SET["routes"][0] | {"name": "other"}]}, "routes[0].id: 'other' is reserved"),
        ({"routes": [{"name": "code"}]}, "routes[0].domain: is missing"),
        ({"routes": [POLICY_SET["routes"][0] | {"action": None}]}, "routes[0].action: is null; it must be text"),
    ],
)
def test_bad_policy_set_is_an_error_with_its_file(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    """Whatever is wrong with a policy set is named with its file and field."""
    write_benchmark(tmp_path, policy_set=POLICY_SET | change)

    with pytest.raises(DatasetError) as raised:
        read_dataset(tmp_path)

    assert str(raised.value).startswith(f"{tmp_path / 'policies' / 'talk_set.json'}: {problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": ', "is not JSON: Expecting value (line 1, column 8)"),
        ("[1]", "is [1]; it must be an object"),
        ('{"id": "a", "id": "b"}', "the key 'id' occurs twice in one object"),
    ],
)
def test_line_that_is_no_object_is_an_error(tmp_path: Path, line: str, problem: str) -> None:
    """A line has to be one JSON object with distinct keys."""
    write_benchmark(tmp_path)
    (tmp_path / "talk.jsonl").write_text(f"\n{line}\n", encoding="utf-8")

    with pytest.raises(DatasetError) as raised:
        read_dataset(tmp_path)

    assert f"{tmp_path / 'talk.jsonl'}:2: {problem}" == str(raised.value)


def test_long_value_is_cut_in_an_error(tmp_path: Path) -> None:
    """An error stays one line, however long the value it complains about."""
    write_benchmark(tmp_path, [CONVERSATION | {"granularity": "x" * 500}])

    with pytest.raises(DatasetError) as raised:
        read_dataset(tmp_path)

    assert len(str(raised.value)) < len(str(tmp_path)) + 200


def test_same_id_twice_is_an_error_with_both_places(tmp_path: Path) -> None:
    """Ids are unique over the whole folder, since predictions are told apart by them."""
    write_benchmark(tmp_path, [CONVERSATION, CONVERSATION])

    with pytest.raises(DatasetError) as raised:
        read_dataset(tmp_path)

    file = tmp_path / "talk.jsonl"
    assert f"{file}:2: id 'talk-1' is already that of {file}:1; ids are unique" == str(raised.value)


def test_folder_without_files_is_an_error(tmp_path: Path) -> None:
    """An empty folder is an error rather than an evaluation of nothing."""
    with pytest.raises(DatasetError, match=r"no \*\.jsonl file"):
        read_dataset(tmp_path)


def test_folder_without_conversations_is_an_error(tmp_path: Path) -> None:
    """Empty files are an error rather than an evaluation of nothing."""
    (tmp_path / "talk.jsonl").write_text("\n", encoding="utf-8")

    with pytest.raises(DatasetError, match="no conversation"):
        read_dataset(tmp_path)


def test_unknown_setting_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    """A setting that does not exist is an error, and the error says which do."""
    write_benchmark(tmp_path)

    with pytest.raises(DatasetError, match="no setting walk; there are talk"):
        read_dataset(tmp_path, frozenset({"walk"}))


def test_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are an error with the file's name."""
    write_benchmark(tmp_path)
    (tmp_path / "talk.jsonl").write_bytes(b"\xff")

    with pytest.raises(DatasetError, match=r"talk\.jsonl: cannot be read as UTF-8 text"):
        read_dataset(tmp_path)
