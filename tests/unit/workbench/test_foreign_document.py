"""Reading foreign files: within limits, without running or expanding anything."""

from pathlib import Path

import pytest

from archrouter.strict_yaml.nodes import MAX_DEPTH, MAX_DOCUMENT_BYTES
from archrouter.workbench.foreign.document import read_foreign
from archrouter.workbench.foreign.facts import ForeignError

_LAUGHS = "a: &a [lol, lol]\nb: &b [*a, *a]\nroutes: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_LAUGHS, "the anchor '&a' is not supported"),
        ("routes: !!python/object/apply:os.system [touch planted]", "the tag 'tag:yaml.org,2002:python/object/apply"),
        ("routes: !python os.system", "the tag '!python' is not supported"),
        ("a: 1\na: 2", "the key 'a' is already in line 1"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("routes: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels"),
        ('{"routes": ' + "[" * 50 + "]" * 50 + "}", f"more than {MAX_DEPTH} levels"),
        ("[" * 100_000 + "]" * 100_000, f"more than {MAX_DEPTH} levels"),
        ("[" + "1," * 50_000 + "1]", f"more than {MAX_DEPTH} levels or 40000 values"),
        ('{"a": ' + "1" * 5_000 + "}", "is not JSON: a number"),
        (r'{"a": "\ud800"}', "is not JSON: a number or half of a surrogate pair"),
        ('{"a"', "is not JSON"),
        ("# nothing", "the document is empty"),
        ("- name: a", "the document is not a mapping"),
        ("x" * (MAX_DOCUMENT_BYTES + 1), f"has more than {MAX_DOCUMENT_BYTES} bytes"),
    ],
    ids=range(15),
)
def test_hostile_file_is_refused_with_its_reason(tmp_path: Path, text: str, message: str) -> None:
    """Tags, aliases, depth, size and nonsense end in one message; nothing is loaded or expanded."""
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ForeignError) as caught:
        read_foreign(path)

    assert message in str(caught.value)
    assert [path] == list(tmp_path.iterdir())


def test_values_that_yaml_readers_dispute_stay_readable(tmp_path: Path) -> None:
    """A date or an octal in a part that nobody imports is no reason to refuse the file."""
    path = tmp_path / "config.yaml"
    path.write_text("released_at: 2025-04-29\nmode: 0644\nenabled: yes\nnothing:\ntimeout: 30s\nweight: 0.5\n")

    expected = {
        "released_at": "2025-04-29",
        "mode": "0644",
        "enabled": True,
        "nothing": None,
        "timeout": "30s",
        "weight": 0.5,
    }
    assert expected == read_foreign(path).values
