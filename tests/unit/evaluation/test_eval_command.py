"""``archrouter eval`` against a real server."""

import json
import re
from pathlib import Path

import grpc
from click.testing import CliRunner, Result
from tests.support.benchmark_folder import CONVERSATION, write_benchmark
from tests.support.routing_services import SERVER_INFO, ScriptedService, matched, no_match, refused, serving

from archrouter import v1
from archrouter.cli import cli


def _answer(request: v1.SelectRouteRequest) -> v1.Decision:
    return no_match(0.9) if request.messages[-1].content == "thanks" else matched("code_write", 0.8)


def _eval(service: ScriptedService, *arguments: str) -> Result:
    with serving(service) as target:
        return CliRunner().invoke(cli, ["eval", "--target", target, *arguments])


def test_eval_prints_one_json_document(tmp_path: Path) -> None:
    """With --json standard output is the summary and nothing else."""
    result = _eval(ScriptedService(_answer), "--json", str(write_benchmark(tmp_path)))

    document = json.loads(result.stdout)
    assert 0 == result.exit_code
    assert 1.0 == document["total"]["micro"]["turn"]["share"]
    assert {"settings": 1, "conversations": 1, "turns": 2, "failed_calls": 0} == document["counts"]


def test_eval_prints_tables(tmp_path: Path) -> None:
    """For people there are the settings with totals, the scenarios, and the latency."""
    result = _eval(ScriptedService(_answer), str(write_benchmark(tmp_path)))

    for text in ("talk", "micro", "macro", "fQfA", "Irrelevance", "100.0 %", "2 decisions in"):
        assert text in result.stdout


def test_eval_writes_predictions_and_summary(tmp_path: Path) -> None:
    """The files hold a prediction on each line, and the same summary as --json prints."""
    predictions, summary = tmp_path / "predictions.jsonl", tmp_path / "summary.json"
    arguments = ["--predictions", str(predictions), "--summary", str(summary), "--json"]

    result = _eval(ScriptedService(_answer), *arguments, str(write_benchmark(tmp_path)))

    assert [
        {"id": "talk-1", "turn": 0, "route": "code_write", "confidence": 0.8},
        {"id": "talk-1", "turn": 2, "route": "other", "confidence": 0.9},
    ] == [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
    assert json.loads(result.stdout) == json.loads(summary.read_text(encoding="utf-8"))


def test_eval_limits_conversations(tmp_path: Path) -> None:
    """A limit is kept and noted in the summary."""
    conversations = [CONVERSATION | {"id": f"talk-{number}"} for number in range(3)]

    result = _eval(
        ScriptedService(_answer),
        "--limit",
        "2",
        "--settings",
        "talk",
        "--json",
        str(write_benchmark(tmp_path, conversations)),
    )

    document = json.loads(result.stdout)
    assert (2, 2) == (document["counts"]["conversations"], document["limit"])


def test_eval_fails_when_a_call_failed(tmp_path: Path) -> None:
    """A failed call counts as wrong, is listed, and makes the exit code 1; the rest is still measured."""

    def fail_first(request: v1.SelectRouteRequest) -> v1.Decision:
        if len(request.messages) == 1:
            raise refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_OVERLOADED")
        return _answer(request)

    result = _eval(ScriptedService(fail_first), "--json", str(write_benchmark(tmp_path)))

    document = json.loads(result.stdout)
    assert 1 == result.exit_code
    assert 0.5 == document["total"]["micro"]["turn"]["share"]
    assert ["ERROR_REASON_OVERLOADED"] == [failure["reason"] for failure in document["failures"]]
    assert "1 of 2 calls failed and count as wrong: 1 x ERROR_REASON_OVERLOADED" in result.stderr


def test_eval_of_broken_folder_is_a_usage_error(tmp_path: Path) -> None:
    """A dataset that cannot be read has exit code 2 and names file and line; no call is made."""
    write_benchmark(tmp_path, [CONVERSATION | {"labels": []}])
    service = ScriptedService(_answer)

    result = _eval(service, str(tmp_path))

    assert 2 == result.exit_code
    assert "talk.jsonl:1: labels: is empty" in result.stderr
    assert [] == service.requests


def test_eval_needs_a_service_that_takes_inline_policy_sets(tmp_path: Path) -> None:
    """A service that would refuse every call is found out before the first one."""

    class Strict(ScriptedService):
        def GetServerInfo(  # noqa: N802  # the name is gRPC's
            self, request: v1.GetServerInfoRequest, context: grpc.ServicerContext
        ) -> v1.GetServerInfoResponse:
            del request, context
            info = v1.GetServerInfoResponse()
            info.CopyFrom(SERVER_INFO)
            info.inline_policies_enabled = False
            return info

    service = Strict(_answer)

    result = _eval(service, str(write_benchmark(tmp_path)))

    assert 2 == result.exit_code
    assert "--policies-inline-enabled" in result.stderr
    assert [] == service.requests


def test_eval_writes_a_report(tmp_path: Path) -> None:
    """The report is one HTML page that quotes the run, the service and the folder by its name only."""
    page = tmp_path / "report.html"
    folder = tmp_path / "dev"
    folder.mkdir()

    result = _eval(ScriptedService(_answer), "--report", str(page), str(write_benchmark(folder)))

    assert 0 == result.exit_code
    html = page.read_text(encoding="utf-8")
    assert "<h1>Routing on dev</h1>" in html
    assert "compact tier · model <code>sha256:" in html
    assert str(tmp_path) not in html


def test_eval_prints_averages_confidence_and_confusions(tmp_path: Path) -> None:
    """For people there are the paper's averages, the figures about confidence, and what is confused."""
    service = ScriptedService(lambda _request: matched("code", 0.5))

    result = _eval(service, str(write_benchmark(tmp_path)))

    for text in (
        "average as in the paper",
        "overall",
        "confidence: calibration error 0.500 (15 bins of equal width), Brier score 0.250, 0.0 % right among",
        "talk_set: these two policies overlap: code and code_write: 1 x code_write predicted as code",
        "talk_set: the edge of code is unclear: 1 x other predicted as code",
    ):
        assert text in result.stdout


def test_eval_resumes(tmp_path: Path) -> None:
    """A second run with the same journal asks nothing, and has the same predictions and latency."""
    write_benchmark(tmp_path)
    journal, service = tmp_path / "run.journal", ScriptedService(_answer)

    first = _eval(service, "--resume", str(journal), "--json", str(tmp_path))
    second = _eval(service, "--resume", str(journal), "--json", str(tmp_path))
    for_people = _eval(service, "--resume", str(journal), str(tmp_path))

    assert 2 == len(service.requests)
    before, after = json.loads(first.stdout), json.loads(second.stdout)
    assert (0, 2) == (before["run"]["resumed_turns"], after["run"]["resumed_turns"])
    assert (before["total"], before["latency"]) == (after["total"], after["latency"])
    assert "2 decisions (2 from the journal)" in for_people.stdout


def test_eval_refuses_the_journal_of_another_model(tmp_path: Path) -> None:
    """Decisions of two models are not mixed: the journal's model is checked before the first call."""
    write_benchmark(tmp_path)
    journal, service = tmp_path / "run.journal", ScriptedService(_answer)
    journal.write_text('{"journal": "archrouter-eval-journal-1", "model": "engine sha256:1"}\n', encoding="utf-8")

    result = _eval(service, "--resume", str(journal), str(tmp_path))

    assert 2 == result.exit_code
    assert "run.journal:1: model: is engine sha256:1, but compact sha256:0" in result.stderr
    assert [] == service.requests


def test_eval_runs_variants(tmp_path: Path) -> None:
    """Each robustness run asks every turn again; a router that goes by the text only changes nothing by route order."""
    service = ScriptedService(_answer)

    result = _eval(service, "--robustness", "route-order,typos", "--json", str(write_benchmark(tmp_path)))

    route_order, typos = json.loads(result.stdout)["robustness"]
    assert ("route-order", 0, 2) == (
        route_order["name"],
        route_order["changed"]["count"],
        route_order["changed"]["total"],
    )
    assert ("typos", 1, -0.5) == (typos["name"], typos["changed"]["count"], typos["accuracy"]["difference"])
    assert 6 == len(service.requests)


def test_eval_prints_variants(tmp_path: Path) -> None:
    """For people there is a table of the variants, those with distractors one by one."""
    arguments = ["--robustness", "reworded, distractors", "--seed", "3", str(write_benchmark(tmp_path))]

    result = _eval(ScriptedService(_answer), *arguments)

    for text in ("Robustness", "reworded", "distractors-5", "distractors-150"):
        assert text in result.stdout


def test_eval_fails_when_a_call_of_a_variant_failed(tmp_path: Path) -> None:
    """A failed call of a robustness run is said and makes the exit code 1, although the plain run is whole."""
    plain = ["write a loop", "thanks"]

    def fail_typos(request: v1.SelectRouteRequest) -> v1.Decision:
        if request.messages[-1].content not in plain:
            raise refused(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL")
        return _answer(request)

    result = _eval(ScriptedService(fail_typos), "--robustness", "typos", "--json", str(write_benchmark(tmp_path)))

    assert 1 == result.exit_code
    assert 1.0 == json.loads(result.stdout)["total"]["micro"]["turn"]["share"]
    assert "typos: 2 of 2 calls failed and count as wrong" in result.stderr


def test_eval_names_the_perturbations_there_are(tmp_path: Path) -> None:
    """An unknown perturbation is a usage error that lists the known ones."""
    result = _eval(ScriptedService(_answer), "--robustness", "typos,noise", str(write_benchmark(tmp_path)))

    assert 2 == result.exit_code
    message = re.sub(r"\s+", " ", result.stderr)
    assert "--robustness: noise is unknown; there are route-order, typos, reworded, distractors" in message


def test_eval_finds_out_early_that_a_file_cannot_be_written(tmp_path: Path) -> None:
    """A report into a folder that does not exist is refused before the first call, not after the run."""
    service = ScriptedService(_answer)

    result = _eval(service, "--report", str(tmp_path / "none" / "report.html"), str(write_benchmark(tmp_path)))

    assert 2 == result.exit_code
    assert "there is no folder" in result.stderr
    assert [] == service.requests
