"""router.json is read strictly: a slip stops the model from loading instead of changing its answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from compact_model.parameters import CANDIDATE_FEATURES, NO_MATCH_FEATURES, ParametersError, read_parameters

Document = dict[str, Any]  # Any: JSON


@pytest.fixture
def document(model_directory: Path) -> Document:
    """Return the committed router.json."""
    parsed: Document = json.loads((model_directory / "1" / "router.json").read_text(encoding="utf-8"))
    return parsed


def read(document: Document, folder: Path) -> None:
    """Write a document and read it as the model does."""
    path = folder / "router.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    read_parameters(path)


def test_the_committed_parameters_name_every_feature(document: Document) -> None:
    """One weight per feature, in the features' order, and none of them left at 0."""
    assert list(CANDIDATE_FEATURES) == list(document["weights"]["candidate"])
    assert list(NO_MATCH_FEATURES) == list(document["weights"]["no_match"])
    assert all(value for weights in document["weights"].values() for value in weights.values())


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("context", "history_decay"), 1.5, "context.history_decay is 1.5"),
        (("context", "history_decay"), "0.5", "context.history_decay is '0.5'"),
        (("context", "assistant_share"), 0.0, "context.assistant_share is 0.0"),
        (("context", "short_turn_token_scale"), True, "context.short_turn_token_scale is True"),
        (("context", "half_life"), 2, "context must be an object with exactly"),
        (("window", "latest_token_limit"), 0, "window.latest_token_limit is 0"),
        (("window", "history_message_limit"), 2.5, "window.history_message_limit is 2.5"),
        (("window", "earlier_message_token_limit"), 128, "window.earlier_message_token_limit is 128"),
        (("cues", "topics"), [], "cues.topics must be a list of at least one sentence"),
        (("cues", "topics"), "weather", "cues.topics must be a list"),
        (("weights", "no_match"), {}, "weights.no_match must be an object with exactly"),
        (("weights", "candidate"), [1.0], "weights.candidate must be an object with exactly"),
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

    with pytest.raises(ParametersError) as caught:
        read(document, tmp_path)

    assert named in str(caught.value)


def test_a_weight_that_is_not_finite_is_refused(document: Document, tmp_path: Path) -> None:
    """JSON as Python writes it can hold NaN, and every score would become NaN with it."""
    document["weights"]["no_match"]["bias"] = float("nan")

    with pytest.raises(ParametersError, match=r"weights\.no_match\.bias is nan"):
        read(document, tmp_path)
