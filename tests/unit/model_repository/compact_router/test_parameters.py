"""router.json is read strictly: a slip stops the model from loading instead of changing its answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from compact_model.parameters import ParametersError, read_parameters

Document = dict[str, Any]  # Any: JSON


@pytest.fixture
def document(model_directory: Path) -> Document:
    """Return the committed router.json."""
    parsed: Document = json.loads((model_directory / "1" / "router.json").read_text(encoding="utf-8"))
    return parsed


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("window", "latest_token_limit"), 0, "window.latest_token_limit is 0"),
        (("window", "earlier_message_limit"), 2.5, "window.earlier_message_limit is 2.5"),
        (("window", "candidate_token_limit"), True, "window.candidate_token_limit is True"),
        (("window", "earlier_token_limit"), 20, "window.earlier_token_limit is 20; it must be at least 48"),
        (("window", "paragraphs"), 1, "window must be an object with exactly"),
        (("extra",), {}, "the document must be an object with exactly"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(
    document: Document, tmp_path: Path, path: tuple[str, ...], value: object, named: str
) -> None:
    """The text says which key has which value, and what it should be."""
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    file = tmp_path / "router.json"
    file.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(ParametersError) as caught:
        read_parameters(file)

    assert named in str(caught.value)


def test_a_model_may_be_without_what_drift_is_seen_by(document: Document, tmp_path: Path) -> None:
    """That is the service's."""
    del document["calibration_reference"]
    (tmp_path / "router.json").write_text(json.dumps(document), encoding="utf-8")

    limits = read_parameters(tmp_path / "router.json")

    assert document["window"]["latest_token_limit"] == limits.latest_token_limit
