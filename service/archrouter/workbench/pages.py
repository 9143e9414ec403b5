"""The look that all reports share: one style sheet, one frame; pages that need no script, no network and no file."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from archrouter.workbench import formats

_FILTERS = (
    *(formats.percent, formats.percent_range, formats.points, formats.points_range),
    *(formats.duration, formats.p_value, formats.shortened),
)


def page_environment(package: str = "archrouter.workbench") -> Environment:
    """Make the environment of a package's pages.

    Args:
        package: Where its own templates are.

    Returns:
        It escapes what it is given, writes figures by the filters that `formats` has, and finds ``layout.html`` and
        ``parts.html`` here. The layout's own policy forbids scripts and loading.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("archrouter.workbench")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({filter_.__name__: filter_ for filter_ in _FILTERS})
    return environment
