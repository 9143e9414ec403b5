"""A chart as a picture of its own."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from archrouter.evaluation.shapes import Plot


def render_svg(chart: Plot) -> str:
    """Draw a chart outside a page.

    Args:
        chart: What to draw; its texts are escaped.

    Returns:
        An SVG document that needs nothing else.
    """
    environment = Environment(
        loader=PackageLoader("archrouter.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("plot.svg").render(chart=chart).lstrip()
