"""The look that all reports share: one style sheet, one frame; pages that need no script, no network and no file."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment(package: str = "archrouter.workbench") -> Environment:
    """Make the environment of a package's pages.

    Args:
        package: Where its own templates are.

    Returns:
        It escapes what it is given and finds ``layout.html`` and ``report.css`` here. The layout's own policy forbids
        scripts and loading.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("archrouter.workbench")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
