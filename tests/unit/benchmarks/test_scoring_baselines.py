"""The two ways the scoring benchmark compares the service with."""

import numpy as np
import pytest
from benchmarks.scoring.constrained import decode
from benchmarks.scoring.generation import parse_answer
from numpy.typing import NDArray

from archrouter.domain.tokens import TokenIds

VOCABULARY = 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"route": "code_review"}', "code_review"),
        ("{'route': 'code_review'}", "code_review"),
        ('```json\n{"route": "code_review"}\n```', "code_review"),
        ('Sure! {"route": "code_review"} Anything else?', "code_review"),
        ('{"route": ', None),
        ("code_review", None),
        ('{"name": "code_review"}', None),
        ('{"route": 7}', None),
        ("}{", None),
    ],
)
def test_an_answer_is_parsed_leniently(text: str, expected: str | None) -> None:
    """Single quotes, fences and prose around it are forgiven; what names no route is None."""
    assert expected == parse_answer(text)


def logits_of(path: TokenIds) -> NDArray[np.float32]:
    """Draw a row of logits that depends on the path alone."""
    return np.random.default_rng([7, *path]).normal(scale=2.0, size=VOCABULARY).astype(np.float32)


async def logits_after(path: TokenIds) -> NDArray[np.float32]:
    """Answer as an engine would."""
    return logits_of(path)


async def test_constrained_decoding_gives_the_exact_distribution_of_the_answers() -> None:
    """It equals the product of softmaxes over the allowed tokens, written out by hand for one answer."""
    sequences = [(1, 2, 9), (1, 3, 9), (4, 9), (1, 3, 5, 9)]

    decoded = await decode(sequences, logits_after)

    probabilities = np.exp(decoded.log_probabilities)
    root, after_one, after_three = (np.exp(logits_of(path).astype(np.float64)) for path in ((), (1,), (1, 3)))
    by_hand = (
        root[1]
        / (root[1] + root[4])
        * after_one[3]
        / (after_one[2] + after_one[3])
        * after_three[5]
        / (after_three[5] + after_three[9])
    )
    assert 1.0 == pytest.approx(probabilities.sum(), abs=1e-12)
    assert by_hand == pytest.approx(probabilities[3], rel=1e-9)
    assert 3 == decoded.call_count


async def test_the_greedy_path_need_not_end_at_the_maximum() -> None:
    """A heavy subtree whose mass splits loses to a lighter answer that stands alone."""
    rows = {(): {1: 0.1, 4: 0.0}, (1,): {2: 0.0, 3: 0.0}}

    async def rigged(path: TokenIds) -> NDArray[np.float32]:
        row = np.full(VOCABULARY, -9.0, np.float32)
        for token, logit in rows[path].items():
            row[token] = logit
        return row

    decoded = await decode([(1, 2), (1, 3), (4,)], rigged)

    assert 0 == decoded.greedy
    assert 2 == int(decoded.log_probabilities.argmax())
