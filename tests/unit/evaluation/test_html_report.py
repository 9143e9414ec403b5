"""The HTML page: whole, self-contained, and safe whatever the data holds."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from tests.support.benchmark_folder import CONVERSATION, POLICY_SET, write_benchmark
from tests.support.eval_reports import report_of, small_report
from tests.support.html_page import HtmlPage
from tests.support.scored_turns import scored

from archrouter.evaluation.comparison import robustness
from archrouter.evaluation.dataset import read_dataset
from archrouter.evaluation.html_report import render_html
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.report import Report
from archrouter.suites.calls import Failure

HOSTILE = """<script>alert("x")</script><img src=x onerror='y'>&amp;{{ 7 * 7 }}</title></style>"""


def _hostile(directory: Path) -> tuple[Report, str]:
    """Report and page of a folder in which every text of the user is an attack."""
    route = {"name": "<b>r</b>", "domain": "<i>d</i>", "action": "a", "description": HOSTILE}
    policy_set = POLICY_SET | {"routes": [route, *POLICY_SET["routes"]]}
    conversation = CONVERSATION | {
        "id": HOSTILE,
        "source": HOSTILE,
        "messages": [{"role": "user", "content": HOSTILE}],
        "labels": [{"turn": 0, "route": "<b>r</b>"}],
    }
    dataset = read_dataset(write_benchmark(directory, [conversation], policy_set))
    report = report_of(dataset, [Prediction("code", 0.9, 0.1)])
    variant = robustness(HOSTILE, 2.0, scored("a", "a"), scored("a", "a"))
    run = replace(report.run, dataset_name=HOSTILE, model_version=HOSTILE, tier=HOSTILE, service_version=HOSTILE)
    report = replace(report, run=run, robustness=(variant,))
    return report, render_html(report, dataset)


def _page(directory: Path, *answers: Prediction | Failure) -> str:
    report = small_report(directory, *answers)
    return render_html(report, read_dataset(directory))


def test_page_escapes_hostile_text(tmp_path: Path) -> None:
    """Ids, routes, descriptions, messages, sources and versions are text in the page, never tags or templates."""
    _, html = _hostile(tmp_path)

    page = HtmlPage(html)
    assert [] == page.open
    assert 0 == page.tags["script"] + page.tags["img"] + page.tags["b"] + page.tags["i"]
    assert 0 == page.attributes["onerror"]
    quoted = [text for text in page.text if HOSTILE in text]
    assert len(quoted) >= 4  # message, id, description, source at least
    assert "49" not in "".join(quoted)


def test_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    """There is no script, no link, no address; the page's own policy forbids loading anything."""
    html = _page(tmp_path, Prediction("code", 0.9, 0.1), Prediction("other", 0.5, 0.2))

    page = HtmlPage(html)
    assert 0 == page.tags["script"] + page.tags["link"] + page.tags["img"] + page.tags["iframe"]
    assert 0 == page.attributes["src"] + page.attributes["href"] + page.attributes["style"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html


def test_page_is_made_for_phones_and_the_dark(tmp_path: Path) -> None:
    """It takes the width of the device and follows its colour scheme; charts say what they show."""
    html = _page(tmp_path, Prediction("code", 0.9, 0.1), Prediction("other", 0.5, 0.2))

    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "color-scheme: light dark" in html
    assert html.count("<svg") == html.count('role="img" aria-label="')
    assert HtmlPage(html).tags["svg"] == html.count("<svg") == 4


def test_page_has_all_figures(tmp_path: Path) -> None:
    """Settings, scenarios, averages, confidence, confused routes, latency and mistakes are on it."""
    html = _page(tmp_path, Prediction("code", 0.9, 0.1), Prediction("other", 0.5, 0.2))

    text = " ".join(HtmlPage(html).text)
    for part in (
        "Routing on made-up",
        "2025-06-19 12:30 UTC · compact tier",
        "2 labelled turns of 1 conversations in 1 settings",
        "talk",
        "fQfA",
        "overall",
        "Brier score",
        "these two policies overlap: code and code_write: 1 x code_write predicted as code",
        "Write new code",
        "write a loop",
        "confidence 0.90",
        "p95",
    ):
        assert part in text
    assert "Robustness" not in text
    assert "failed" not in text


def test_page_shows_robustness_where_it_was_run(tmp_path: Path) -> None:
    """Variants have a chart and a table with change, difference and p-value."""
    report = small_report(tmp_path, Prediction("code", 0.9, 0.1), Prediction("other", 0.5, 0.2))
    variant = robustness("typos", 12.0, scored("a" * 12, "a" * 12), scored("a" * 12, "b" * 12))

    html = render_html(replace(report, robustness=(variant,)), read_dataset(tmp_path))

    text = " ".join(HtmlPage(html).text)
    for part in ("typos", "100.0 %", "-100.0", "< 0.001"):
        assert part in text


def test_page_of_failed_calls_says_so(tmp_path: Path) -> None:
    """Where every call failed the page still is whole: it names the causes and leaves out what is not known."""
    refused = Failure(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL", "no luck")

    html = _page(tmp_path, refused, refused)

    page = HtmlPage(html)
    assert [] == page.open
    text = " ".join(page.text)
    assert "2 calls failed and count as wrong" in text
    assert "2 × ERROR_REASON_INTERNAL" in text  # noqa: RUF001  # a multiplication sign
    for part in ("Latency", "Brier", "Surest mistakes"):
        assert part not in text


@pytest.mark.parametrize(("length", "end"), [(240, "x"), (241, "…"), (100_000, "…")])
def test_long_messages_are_shortened(tmp_path: Path, length: int, end: str) -> None:
    """A message is quoted up to 240 characters, whatever somebody pasted into it."""
    conversation = CONVERSATION | {
        "messages": [{"role": "user", "content": "x" * length}],
        "labels": [{"turn": 0, "route": "code"}],
    }
    dataset = read_dataset(write_benchmark(tmp_path, [conversation]))

    page = HtmlPage(render_html(report_of(dataset, [Prediction("other", 0.9, 0.1)]), dataset))

    (quoted,) = [text for text in page.text if text.startswith("xxx")]
    assert (240, end) == (len(quoted), quoted[-1])
