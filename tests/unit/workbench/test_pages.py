"""What all reports have in common: they can be read, by everybody, whatever the data holds."""

import itertools
import re
from importlib.resources import files
from pathlib import Path

import pytest
from tests.support.eval_reports import small_report
from tests.support.html_page import HtmlPage

from archrouter.evaluation.dataset import read_dataset
from archrouter.evaluation.html_report import render_html
from archrouter.evaluation.prediction import Prediction
from archrouter.workbench.impact import ComparedTurn, Price, PriceList, Side, impact_of
from archrouter.workbench.impact_report import render_impact
from archrouter.workbench.policy_report import render_visits

HOSTILE = """<script>alert("x")</script><img src=x onerror='y'>&amp;{{ 7 * 7 }}</title></style>"""
_CONVERSATION = {
    "text": HOSTILE,
    "source": "drafted",
    "topic": HOSTILE,
    "expected": None,
    "winner": HOSTILE,
    "probabilities": {HOSTILE: 0.5},
}
_TRIAL = {"routes": [HOSTILE], "wording": HOSTILE, "right_before": 3, "right_after": 5, "case_count": 9}
_VISITS = {
    "drafted_by": HOSTILE,
    "policy_sets": [
        {
            "policy_set": HOSTILE,
            "case_count": 21,
            "sources": {"suite": 1, "drafted": 20},
            "untested": [HOSTILE],
            "findings": [
                {
                    "kind": kind,
                    "routes": [HOSTILE, "b"],
                    "evidence_count": 11,
                    "case_count": 21,
                    "conversations": [_CONVERSATION] * 11,
                }
                for kind in ("CONFUSED_PAIR", "NEVER_WINS", "CATCHES_OTHERS", "LOSES_TO_NO_MATCH", "SHORTER_IS_BETTER")
            ],
            "tried_count": 7,
            "proposals": [_TRIAL],
            "diff": f"--- a/x\n+++ b/x\n-{HOSTILE}\n+new\n",
        }
    ],
}


def _impact() -> str:
    sides = [Side("matched", HOSTILE, HOSTILE, 0.9), Side("matched", "b", "m", 0.8)]
    turns = [ComparedTurn(HOSTILE, HOSTILE, before, sides[1], HOSTILE, 10) for before in sides]
    prices = PriceList(HOSTILE, {"m": Price(1, 2)}, 300)
    return render_impact(impact_of(turns, {HOSTILE: 2}, prices), HOSTILE)


def _eval(directory: Path) -> str:
    report = small_report(directory, Prediction("code", 0.9, 0.1), Prediction("other", 0.5, 0.2))
    return render_html(report, read_dataset(directory))


@pytest.fixture(params=["doctor", "impact", "eval"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> HtmlPage:
    """Write each report."""
    match request.param:
        case "doctor":
            return HtmlPage(render_visits(_VISITS, HOSTILE))
        case "impact":
            return HtmlPage(_impact())
        case _:
            return HtmlPage(_eval(tmp_path))


def test_pages_have_one_frame(page: HtmlPage) -> None:
    """Each has one heading of the first level, none that skips a level, and its parts where readers jump to."""
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]

    assert [] == page.open
    assert (1, 1) == (levels[0], levels.count(1))
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert {"header": 1, "main": 1, "footer": 1} == {tag: page.tags[tag] for tag in ("header", "main", "footer")}
    assert ("html", {"lang": "en"}) in page.elements


def test_tables_can_be_read_without_seeing_them(page: HtmlPage) -> None:
    """Every table has a name, its headings say what they head, and one that is too wide can be moved by keyboard."""
    regions = [attributes for _, attributes in page.elements if attributes.get("class") == "scroll"]
    tables = [attributes for tag, attributes in page.elements if tag == "table"]

    assert len(tables) == len(regions) > 0
    assert all(attributes["aria-label"] for attributes in tables)
    assert all(("region", "0") == (attributes["role"], attributes["tabindex"]) for attributes in regions)
    assert {"col", "row"} == {attributes.get("scope") for tag, attributes in page.elements if tag == "th"}


def test_pages_hold_no_foreign_markup_and_load_nothing(page: HtmlPage) -> None:
    """Texts of files, models and services stay texts; nothing is fetched, and nothing runs."""
    policies = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]

    assert 0 == sum(page.tags[tag] for tag in ("script", "img", "link", "iframe", "a"))
    assert 0 == sum(page.attributes[name] for name in ("src", "href", "style", "onerror"))
    assert ["default-src 'none'; style-src 'unsafe-inline'"] == policies
    assert "49" not in "".join(text for text in page.text if "alert" in text)


def test_doctor_page_says_what_was_found() -> None:
    """Findings with their meaning, conversations with their origin, better wordings and the diff are on it."""
    html = render_visits(_VISITS, "policies")
    text = " ".join(HtmlPage(html).text)

    assert 'class="removed">-&lt;script&gt;' in html
    for part in (
        "Wording of policies",
        "written by <script>",
        "1 suite, 20 drafted",
        "confused pair",
        "Say in both descriptions where the border is. Shown by 11 of 21 conversations.",
        "1 more are not listed.",
        "drafted: <script>",
        "of 7 tried",
        "The diff to review",
    ):
        assert part in text


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out(scheme: int) -> None:
    """Every text has a contrast of 4.5 to what is behind it, every mark one of 3 (WCAG 2.2, AA), in both schemes."""
    look = files("archrouter.workbench").joinpath("templates/look.css").read_text(encoding="utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", look)
    colours = {name: pair[scheme] for name, *pair in found}
    texts = [
        (text, behind) for text in ("ink", "muted", "accent", "good", "bad", "warn") for behind in ("page", "card")
    ]
    texts += [(text, f"{text}-soft") for text in ("good", "bad", "warn")]

    assert [] == [pair for pair in texts if _contrast(colours[pair[0]], colours[pair[1]]) < 4.5]
    assert _contrast(colours["bar"], colours["card"]) >= 3


def test_colours_are_in_one_sheet() -> None:
    """No report has a colour of its own; the drawing that stands alone has those of the light scheme."""
    templates = files("archrouter.workbench").joinpath("templates")
    drawing = files("archrouter.evaluation").joinpath("templates/plot.svg").read_text(encoding="utf-8")
    known = re.findall(r"light-dark\((#\w{6})", templates.joinpath("look.css").read_text(encoding="utf-8"))

    assert [] == re.findall(r"#\w{3,6}\b", templates.joinpath("report.css").read_text(encoding="utf-8"))
    assert set(re.findall(r"#\w{6}", drawing)) <= set(known)
