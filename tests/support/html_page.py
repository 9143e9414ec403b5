"""What a browser finds in a page of HTML: tags, attributes and text."""

from collections import Counter
from html.parser import HTMLParser

_VOID = {"meta", "br", "line", "circle", "polyline", "rect"}


class HtmlPage(HTMLParser):
    """A parsed page.

    Attributes:
        tags: Elements by name.
        attributes: Attributes by name.
        text: Texts, every run of white space as one space.
        open: Elements that were not closed.
        elements: Each element with its attributes, in the order of the page.
    """

    def __init__(self, html: str) -> None:
        """Parse it; AssertionError where elements do not nest."""
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.text: list[str] = []
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count the tag and its attributes."""
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count a tag that ends at once; it opens nothing."""
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attrs)
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last, or fail."""
        if tag not in _VOID:
            assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text.append(" ".join(data.split()))
