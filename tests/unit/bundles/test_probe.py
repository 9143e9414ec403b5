"""Reading the answer skeleton off greedy generations."""

import pytest

from archrouter.bundles.probe import SkeletonProbe, probe_skeleton
from archrouter.domain.answer import AnswerSkeleton, Quoting

JSON = AnswerSkeleton('{"route": ', "}", Quoting.JSON_ASCII)

LIST = AnswerSkeleton('{"route": [', "]}", Quoting.JSON_ASCII, is_list=True)


@pytest.mark.parametrize(
    ("answer", "skeleton"),
    [
        ('{"route": "code_fix"}', JSON),
        ('{"route":"code_fix"}\n', AnswerSkeleton('{"route":', "}", Quoting.JSON_ASCII)),
        ("{'route': 'code_fix'}", AnswerSkeleton("{'route': ", "}", Quoting.PYTHON)),
        ("{'route': \"it's\"}", AnswerSkeleton("{'route': ", "}", Quoting.PYTHON)),
        ('{"route": "\\u00e9tude"}', JSON),
        ('{"route": "étude"}', AnswerSkeleton('{"route": ', "}", Quoting.JSON_UTF8)),
        ('{"route": ["code_fix"]}', LIST),
        ('{"route": []}', LIST),
        ('{"route": ["a", "b"]}', LIST),
        ("{'route': ['a', \"it's\"]}", AnswerSkeleton("{'route': [", "]}", Quoting.PYTHON, is_list=True)),
        ('{"route":[ "a" ] }', AnswerSkeleton('{"route":[ ', " ] }", Quoting.JSON_ASCII, is_list=True)),
        ('{ "route" : "a" }', AnswerSkeleton('{ "route" : ', " }", Quoting.JSON_ASCII)),
    ],
)
def test_quotes_and_spaces_are_read_as_they_are(answer: str, skeleton: AnswerSkeleton) -> None:
    """Every form that weights write is told apart from the others."""
    assert SkeletonProbe(skeleton, 1.0, 1) == probe_skeleton([answer])


def test_the_most_frequent_form_wins_and_the_share_is_of_all_answers() -> None:
    """An answer without a form counts against the agreement."""
    answers = ['{"route": "a"}'] * 7 + ["{'route': 'a'}"] * 2 + ["I think it is a"]

    probe = probe_skeleton(answers)

    assert SkeletonProbe(JSON, 0.7, 10) == probe
    assert not probe.is_trustworthy


def test_a_probe_is_trustworthy_from_four_fifths_on() -> None:
    """Eighty per cent is enough, the limit included."""
    assert probe_skeleton(['{"route": "a"}'] * 4 + ["?"]).is_trustworthy


@pytest.mark.parametrize(
    "answer",
    [
        *("", "no idea", '{"route": other}', '{"route": "a" + "b"}', '{"answer": "a"}', '{"route": "a", "b"}'),
        *(
            '{"route": [a]}',
            '{"route": ["a"}',
            '{"route": [["a"]]}',
            '{"route": ["a", 1, "b"]}',
            '{"route": ["a","b"]}',
        ),
    ],
)
def test_an_answer_without_the_form_gives_no_skeleton(answer: str) -> None:
    """Nothing is guessed from text that is not an answer."""
    assert SkeletonProbe(None, 0.0, 1) == probe_skeleton([answer])


def test_no_answer_at_all_is_a_mistake() -> None:
    """Without evidence there is nothing to report."""
    with pytest.raises(ValueError, match="no answer"):
        probe_skeleton([])
