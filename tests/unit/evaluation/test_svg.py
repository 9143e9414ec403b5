"""A chart as a picture of its own."""

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests.support.scored_turns import scored

from archrouter.evaluation.charts import reliability_plot, render_svg, risk_coverage_plot
from archrouter.evaluation.reliability import Reliability, reliability
from archrouter.evaluation.shapes import Plot

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def figures() -> Reliability:
    """Give figures of four decisions."""
    found = reliability([*scored("ab", "aa", confidence=0.9), *scored("ab", "ab", confidence=0.4)])
    assert found is not None
    return found


@pytest.mark.parametrize("plot", [risk_coverage_plot, reliability_plot])
def test_a_picture_is_a_whole_document_with_every_mark(
    figures: Reliability, plot: Callable[[Reliability], Plot]
) -> None:
    """Any viewer opens it: one namespace, a size, the style inside, nothing loaded."""
    chart = plot(figures)
    text = render_svg(chart)
    root = ET.fromstring(text)  # noqa: S314  # our own text

    assert SVG + "svg" == root.tag
    assert {"width", "height", "viewBox"} <= set(root.keys())
    assert len(chart.points) == len(root.findall(f".//{SVG}circle"))
    assert len(chart.bars) == len(root.findall(f".//{SVG}rect")) - 1
    assert "http" not in text.replace(SVG[1:-1], "")


def test_texts_are_escaped(figures: Reliability) -> None:
    """A title with marks of its own changes nothing but the title."""
    chart = replace(risk_coverage_plot(figures), title='<script> & "quotes"')
    root = ET.fromstring(render_svg(chart))  # noqa: S314  # same

    assert ['<script> & "quotes"'] == [one.get("aria-label") for one in root.findall(f"{SVG}svg")]
