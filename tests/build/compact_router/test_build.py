"""The build programs: what is fitted is found again, the files are read as their README says, stamping is exact."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from compact_router.benchmark import LabelledTurn, benchmark_turns, read_conversations
from compact_router.calibrate import fit_temperature, main, read_logits, reference
from compact_router.curve import CurveLog
from compact_router.evaluate import Decision, calibration_error_by_chance, evaluate, expected_calibration_error
from compact_router.folds import read_counts, summary
from compact_router.manifest import VERSION, read_json
from compact_router.material import DEV_OTHER_LANGUAGES, DEV_SETS, NEW_DOMAINS, PARTS
from compact_router.plan import Plan
from compact_router.services import SOURCE as OF_SERVICES
from compact_router.stamp import set_parameter


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_found_undoes_a_scaling_of_the_logits(temperature: float) -> None:
    """Labels drawn from softmax(scores) and logits t times too large need the temperature t."""
    random_numbers = np.random.default_rng(7)
    scores = [random_numbers.normal(scale=2.0, size=random_numbers.integers(2, 7)) for _ in range(3000)]
    labels = [int(random_numbers.choice(len(each), p=np.exp(each - np.logaddexp.reduce(each)))) for each in scores]

    found = fit_temperature([([each * temperature for each in scores], labels)])

    assert pytest.approx(temperature, rel=0.06) == found


def test_a_curve_goes_on_where_the_checkpoint_left_it(tmp_path: Path) -> None:
    """Lines of steps that will be made again are dropped, so that none is there twice."""
    path = tmp_path / "curve.jsonl"
    before = CurveLog(path, 0)
    for step in range(1, 61):
        before.add(step, 1.0, 0.5)

    after = CurveLog(path, 45)
    after.add(60, 1.0, 0.5)

    assert [20, 40, 60] == [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert pytest.approx(1.0) == after.loss


def test_the_rate_rises_to_its_peak_and_falls_towards_zero() -> None:
    """A plan of 100 steps warms up for 5, and never stands still."""
    plan = Plan(steps=100)
    shares = [plan.rate_share(step) for step in range(100)]

    assert [0.2, 0.4, 0.6, 0.8, 1.0] == pytest.approx(shares[:5])
    assert shares[4:] == sorted(shares[4:], reverse=True)
    assert shares[-1] > 0


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

    evaluation = evaluate(decisions)

    assert 0.5 == evaluation.micro.turn_accuracy
    assert pytest.approx(1 / 3) == evaluation.macro_turn_accuracy
    assert (0.5, 0.5) == (evaluation.micro.no_match_recall, evaluation.micro.false_no_match)
    assert evaluation.settings["y"].false_no_match is None
    assert pytest.approx(-np.log(0.5)) == evaluation.micro.negative_log_likelihood


def test_calibration_error_is_the_mean_gap_over_bins() -> None:
    """Two answers at 0.9 of which one is right leave a gap of 0.4; a sure right one leaves none."""
    error = expected_calibration_error(np.array([0.9, 0.9, 1.0, 1.0]), np.array([True, False, True, True]))

    assert pytest.approx(0.2 + 0.0, abs=0.11) == error


def test_few_answers_show_a_calibration_error_by_chance() -> None:
    """Sixty unsure answers cannot show less than a hundredth; sixty thousand can."""
    few = calibration_error_by_chance(np.linspace(0.2, 0.95, 60))
    many = calibration_error_by_chance(np.linspace(0.2, 0.95, 60_000))

    assert 0.05 < few < 0.2
    assert many < 0.01
    assert 0.0 == calibration_error_by_chance(np.ones(5))


def test_what_drift_is_seen_by_is_of_calibrated_probabilities() -> None:
    """A temperature of 2 brings the odds of e² down to e; the last candidate is no match."""
    sure, none = np.array([2.0, 0.0]), np.array([0.0, 2.0])

    found = reference([sure, sure, sure, none], 2.0)

    leading = round(float(np.e / (1 + np.e)), 4)
    assert [leading] * 9 == found["top_probability_deciles"]
    assert 0.25 == found["no_match_share"]


def test_each_part_counts_alike_and_made_up_services_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a part that is all right, one a tenth its size that is half right, and wrong services, 3 of 4 are right."""
    save_logits(tmp_path / DEV_SETS, [0] * 100 + [1] * 50, ["own"] * 100 + [OF_SERVICES] * 50)
    save_logits(tmp_path / DEV_OTHER_LANGUAGES, [0] * 5 + [1] * 5, ["bare"] * 10)
    (tmp_path / VERSION).mkdir()
    monkeypatch.setattr("sys.argv", ["calibrate", str(tmp_path), "--model-directory", str(tmp_path)])

    main()

    calibration = read_json(tmp_path / VERSION / "router.json")["calibration"]
    assert 110 == calibration["sample_count"]
    assert pytest.approx(3 / np.log(3), rel=0.01) == calibration["temperature"]


def save_logits(part: Path, labels: list[int], sources: list[str]) -> None:
    """Save answers of odds e³ for the first of two candidates, and what would have been right."""
    logits = np.tile(np.array([3.0, 0.0], np.float32), (len(labels), 1))
    np.savez(part.with_suffix(".npz"), logits=logits, labels=labels, sources=sources)


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


def write_fold(folder: Path, by_source: dict[str, list[int]]) -> Path:
    """Write what a fold measured, the same for both parts."""
    folder.mkdir()
    for part in PARTS:
        (folder / f"{part}.json").write_text(json.dumps({"by_source": by_source, "heads": {}}))
    return folder


def test_folds_are_added_up_by_source_and_averaged_in_three_ways(tmp_path: Path) -> None:
    """Every turn alike, every source alike, and sources as they are in a benchmark."""
    folds = [
        write_fold(tmp_path / "0", {"a": [1, 2], "b": [8, 8]}),
        write_fold(tmp_path / "1", {"a": [1, 2]}),
    ]

    counts = read_counts(folds, NEW_DOMAINS)
    found = summary(counts, {"a": 3, "b": 1})

    assert {"a": (2, 4), "b": (8, 8)} == counts
    assert {"all_turns": 10 / 12, "mean_of_sources": 0.75, "weighted_mean": 0.625} == pytest.approx(found)


def test_a_weight_of_a_source_that_was_not_measured_is_refused() -> None:
    """A mistyped name would silently count for nothing."""
    with pytest.raises(ValueError, match="--weights names c, of which no turn was measured; there are a"):
        summary({"a": (1, 2)}, {"c": 1.0})


def test_logits_of_several_folds_are_read_together(tmp_path: Path) -> None:
    """Rows of folds may differ in length; the label is an index into its row."""
    for name, width in (("a", 3), ("b", 5)):
        np.savez(tmp_path / name, logits=np.zeros((2, width), np.float32), labels=[0, width - 1], sources=["own"] * 2)

    logits, labels = read_logits([tmp_path / "a.npz", tmp_path / "b.npz"])

    assert [3, 3, 5, 5] == [len(row) for row in logits]
    assert [0, 2, 0, 4] == labels
