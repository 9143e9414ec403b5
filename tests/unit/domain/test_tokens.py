"""Tokenising in pieces equals tokenising the whole, or is refused."""

import pytest
from tests.support.prompts import LongestMatchTokenizer

from archrouter.domain.errors import PromptTemplateError
from archrouter.domain.tokens import Segment, Tokenizer, check_seams

PIECES = (
    Segment("<|im_end|>head ", is_template=True),
    Segment("text", is_template=False),
    Segment("", is_template=True),
    Segment(" tail", is_template=True),
)


def test_clean_seams_pass() -> None:
    """Merges inside the pieces are no obstacle."""
    check_seams(LongestMatchTokenizer(["head", "text", "tail"]), PIECES)


@pytest.mark.parametrize(
    ("merge", "seam"),
    [("d t", "between 'm_end|>head ' and 'text',"), ("t t", "between 'd|>head text' and ' tail',")],
)
def test_merge_across_a_seam_is_refused(merge: str, seam: str) -> None:
    """The error names the seam, so that the template's author can find it."""
    tokenizer: Tokenizer = LongestMatchTokenizer([merge])

    with pytest.raises(PromptTemplateError, match="merges text across the seam") as caught:
        check_seams(tokenizer, PIECES)

    assert seam in str(caught.value)
