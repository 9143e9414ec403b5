"""Reading the answer skeleton off the weights: which quotes and spaces they really write.

The prompt asks for ``{"route": "name"}``; weights in the wild also answer ``{'route': 'name'}``. Scoring needs the form
the model itself would choose, so it is measured on greedy generations when a bundle is built.
"""

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from archrouter.domain.answer import AnswerSkeleton, Quoting

MIN_AGREEMENT = 0.8
"""Below this share of agreeing answers no one form can be trusted."""

_ANSWER = re.compile(r"(?P<prefix>\{\s*([\"'])route\2\s*:\s*)(?P<literal>([\"']).*\4)(?P<suffix>\s*\})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SkeletonProbe:
    """What the probes say.

    Attributes:
        skeleton: The most frequent form; None when no answer had any.
        agreement: Share in [0, 1] of all answers that had this form.
        answer_count: Number of answers looked at.
    """

    skeleton: AnswerSkeleton | None
    agreement: float
    answer_count: int

    @property
    def is_trustworthy(self) -> bool:
        """Whether enough answers agree."""
        return self.skeleton is not None and self.agreement >= MIN_AGREEMENT


def probe_skeleton(answers: Sequence[str]) -> SkeletonProbe:
    """Find the form most answers share.

    Args:
        answers: Greedy generations, control tokens left out, at least one.

    Returns:
        The form and how many answers have it; of two equally frequent forms the one seen first.

    Raises:
        ValueError: When there is no answer.
    """
    if not answers:
        msg = "no answer to read the skeleton from; generate at least one"
        raise ValueError(msg)
    forms = [form for answer in answers if (form := _form_of(answer)) is not None]
    if not forms:
        return SkeletonProbe(None, 0.0, len(answers))
    # JSON with and without escapes is one form until a character outside ASCII tells them apart.
    quotings = [quoting for answer in answers if (quoting := _json_quoting_of(answer)) is not None]
    json_quoting = Counter(quotings).most_common(1)[0][0] if quotings else Quoting.JSON_ASCII
    (prefix, suffix, is_python), count = Counter(forms).most_common(1)[0]
    skeleton = AnswerSkeleton(prefix, suffix, Quoting.PYTHON if is_python else json_quoting)
    return SkeletonProbe(skeleton, count / len(answers), len(answers))


def _form_of(answer: str) -> tuple[str, str, bool] | None:
    """Split an answer into what surrounds the id: prefix, suffix, and whether the id is a Python literal."""
    match = _ANSWER.fullmatch(answer.strip())
    if match is None:
        return None
    try:
        ast.literal_eval(match["literal"])  # a literal, never code
    except (SyntaxError, ValueError):
        return None
    return match["prefix"], match["suffix"], "'" in match["prefix"]


def _json_quoting_of(answer: str) -> Quoting | None:
    if not answer.isascii():
        return Quoting.JSON_UTF8
    return Quoting.JSON_ASCII if "\\u" in answer else None
