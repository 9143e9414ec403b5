"""The build programs: the fit finds what made the data, the files are read as their README says, stamping is exact."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from compact_router.benchmark import LabelledTurn, benchmark_turns, read_conversations
from compact_router.conditional_logit import Choice, fit_temperature, fit_weights
from compact_router.evaluate import Decision, evaluate, expected_calibration_error
from compact_router.stamp import set_parameter

CANDIDATE_WEIGHTS = np.array([3.0, -1.0])
NO_MATCH_WEIGHTS = np.array([0.5])


def drawn_choices(count: int) -> list[Choice]:
    """Draw choices from the model that the fit assumes, with sets of different sizes."""
    random_numbers = np.random.default_rng(7)
    choices = []
    for _ in range(count):
        candidates = random_numbers.normal(size=(random_numbers.integers(1, 6), 2))
        no_match = np.ones(1)
        scores = np.append(candidates @ CANDIDATE_WEIGHTS, no_match @ NO_MATCH_WEIGHTS)
        probabilities = np.exp(scores - np.logaddexp.reduce(scores))
        choices.append(Choice(candidates, no_match, int(random_numbers.choice(len(scores), p=probabilities)), 1.0))
    return choices


def test_the_fit_finds_the_weights_that_made_the_data() -> None:
    """With 4000 choices the standard errors are near 0.07, so 0.25 is more than three of them."""
    candidate, no_match = fit_weights(drawn_choices(4000))

    assert np.allclose(CANDIDATE_WEIGHTS, candidate, atol=0.25)
    assert np.allclose(NO_MATCH_WEIGHTS, no_match, atol=0.25)


def test_a_choice_of_twice_the_weight_counts_like_two() -> None:
    """Weights are shares in the loss, which is how settings of different sizes are balanced."""
    choices = drawn_choices(60)
    doubled = [Choice(item.candidates, item.no_match, item.label, 2.0) for item in choices[:20]] + choices[20:]

    once = np.concatenate(fit_weights(doubled))
    twice = np.concatenate(fit_weights(choices[:20] + choices))

    assert np.allclose(twice, once, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_found_undoes_a_scaling_of_the_logits(temperature: float) -> None:
    """Logits that are t times too large need a temperature t times as high."""
    choices = drawn_choices(500)
    logits = [np.append(item.candidates @ CANDIDATE_WEIGHTS, item.no_match @ NO_MATCH_WEIGHTS) for item in choices]
    labels, weights = [item.label for item in choices], [item.weight for item in choices]
    expected = temperature * fit_temperature(logits, labels, weights)

    found = fit_temperature([scores * temperature for scores in logits], labels, weights)

    assert expected == pytest.approx(found, rel=1e-3)


def write_benchmark(folder: Path) -> None:
    """Write a benchmark of one policy set and one conversation with two labels."""
    routes = [{"name": name, "domain": "d", "action": name, "description": f"about {name}"} for name in ("a", "b")]
    (folder / "policies").mkdir()
    (folder / "policies" / "two.json").write_text(json.dumps({"policy_set": "two", "routes": routes}))
    messages = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
    labels = [{"turn": 0, "route": "b"}, {"turn": 2, "route": "other"}]
    line = {"id": "1", "setting": "toy", "policy_set": "two", "messages": messages, "labels": labels}
    (folder / "toy.jsonl").write_text(json.dumps(line) + "\n")


def test_a_labelled_turn_shows_no_later_message(tmp_path: Path) -> None:
    """Turn n sees messages 0 to n, and a label that names no candidate is no match."""
    write_benchmark(tmp_path)

    first, last = benchmark_turns(tmp_path)

    assert [1, 3] == [len(json.loads(turn.conversation)) for turn in (first, last)]
    assert (1, False, 2, True) == (first.label, first.is_no_match, last.label, last.is_no_match)
    assert {"id": "b", "domain": "d", "action": "b", "description": "about b"} == json.loads(first.candidates[1])


def test_conversations_are_read_from_compressed_files_too(tmp_path: Path) -> None:
    """The line separator of Unicode inside a text does not split a line."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress('{"id": "a\u2028b"}\n{"id": "c"}\n'.encode()))

    assert ["a\u2028b", "c"] == [conversation["id"] for conversation in read_conversations(path)]


def test_figures_are_those_counted_by_hand() -> None:
    """Micro counts turns, macro counts settings, and no match is reported from both sides."""
    right = [("x", 0, 0), ("x", 1, 1), ("x", 0, 1), ("y", 1, 0)]
    decisions = [
        Decision(LabelledTurn(setting, "", b"", (b"only",), label), predicted, 0.8, 0.5)
        for setting, label, predicted in right
    ]

    evaluation = evaluate(decisions, temperature=1.0)

    assert 0.5 == evaluation.micro.turn_accuracy
    assert pytest.approx(1 / 3) == evaluation.macro_turn_accuracy
    assert (0.5, 0.5) == (evaluation.micro.no_match_recall, evaluation.micro.false_no_match)
    assert evaluation.settings["y"].false_no_match is None
    assert pytest.approx(-np.log(0.5)) == evaluation.micro.negative_log_likelihood


def test_calibration_error_is_the_mean_gap_over_bins() -> None:
    """Two answers at 0.9 of which one is right leave a gap of 0.4; a sure right one leaves none."""
    error = expected_calibration_error(np.array([0.9, 0.9, 1.0, 1.0]), np.array([True, False, True, True]))

    assert pytest.approx(0.2 + 0.0, abs=0.11) == error


def test_stamping_replaces_one_value_and_nothing_else() -> None:
    """Comments, layout and other parameters stay, and quotes inside the value need no escape."""
    text = (
        "# kept\n"
        "parameters { key: \"a\" value: { string_value: 'x' } }\n"
        "parameters { key: \"ab\" value: { string_value: '' } }\n"
    )

    stamped = set_parameter(text, "a", '{"k": 1}')

    assert text.replace("'x'", "'{\"k\": 1}'") == stamped


def test_stamping_refuses_a_config_without_the_parameter() -> None:
    """A digest that is silently not written would leave the old one standing."""
    with pytest.raises(ValueError, match="has 0 lines for the parameter 'a'"):
        set_parameter("", "a", "x")
