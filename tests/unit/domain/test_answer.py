"""The answer of each candidate, as text and as tokens."""

import ast
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.prompts import BytePairTokenizer, LongestMatchTokenizer, make_routes

from archrouter.domain.answer import LIST_ANSWER, AnswerSkeleton, Quoting, candidate_sequences, longer_sequences
from archrouter.domain.errors import PolicySetInvalidError

END = 0


@pytest.mark.parametrize(
    ("quoting", "route_id", "expected"),
    [
        (Quoting.JSON_ASCII, "code_review", '{"route": "code_review"}'),
        (Quoting.JSON_ASCII, "it's", '{"route": "it\'s"}'),
        (Quoting.JSON_ASCII, 'a"b\\c', r'{"route": "a\"b\\c"}'),
        (Quoting.JSON_ASCII, "翻译", r'{"route": "\u7ffb\u8bd1"}'),
        (Quoting.JSON_UTF8, "翻译", '{"route": "翻译"}'),
        (Quoting.JSON_UTF8, 'a"b\\c', r'{"route": "a\"b\\c"}'),
        (Quoting.PYTHON, "code_review", "{'route': 'code_review'}"),
        (Quoting.PYTHON, "it's", "{'route': \"it's\"}"),
        (Quoting.PYTHON, "'\"", "{'route': '\\'\"'}"),
        (Quoting.PYTHON, "翻译\\", r"{'route': '翻译\\'}"),
    ],
)
def test_answer_is_the_text_the_model_would_generate(quoting: Quoting, route_id: str, expected: str) -> None:
    """Written by hand for each quoting: quotes, apostrophes, backslashes and Chinese."""
    prefix = "{'route': " if quoting is Quoting.PYTHON else '{"route": '

    assert expected == AnswerSkeleton(prefix=prefix, quoting=quoting).render(route_id)


@given(st.text(), st.sampled_from(Quoting))
def test_answer_reads_back_as_the_route_id(route_id: str, quoting: Quoting) -> None:
    """No id can break out of its quotes."""
    answer = AnswerSkeleton(quoting=quoting).render(route_id)

    assert {"route": route_id} == (ast.literal_eval(answer) if quoting is Quoting.PYTHON else json.loads(answer))


@given(st.text(), st.sampled_from(Quoting))
def test_list_reads_back_as_its_routes(route_id: str, quoting: Quoting) -> None:
    """One route, none, or two: no id can break out of its quotes or of the list."""
    skeleton = replace(LIST_ANSWER, quoting=quoting)
    read = ast.literal_eval if quoting is Quoting.PYTHON else json.loads

    assert {"route": [route_id] if route_id != "other" else []} == read(skeleton.render(route_id))
    assert {"route": [route_id, route_id]} == read(skeleton.render_longer(route_id))


def test_lists_that_go_on_are_tokenised_for_every_route_but_not_for_no_match(tokenizer: BytePairTokenizer) -> None:
    """They share the tokens of the shorter list up to the end of its first route; other forms have none."""
    routes, end = make_routes(("code", "d"), ("code_review", "d")), 7

    shorter = candidate_sequences(routes, LIST_ANSWER, tokenizer, end)
    longer = longer_sequences(routes, LIST_ANSWER, tokenizer, end)

    assert '{"route": ["code", "code"]}' == tokenizer.decode(longer[0][:-1])
    assert '{"route": []}' == tokenizer.decode(shorter[-1][:-1])
    assert ((3, 2), end) == ((len(shorter), len(longer)), longer[1][-1])
    assert () == longer_sequences(routes, AnswerSkeleton(), tokenizer, end)


def test_sequences_are_the_routes_in_order_then_no_match() -> None:
    """Every candidate's answer is tokenised whole and closed by the end token."""
    tokenizer = LongestMatchTokenizer(['{"route": "', "code_", "review", '"}', "other"])

    sequences = candidate_sequences(
        make_routes(("code_review", "d"), ("review", "d")), AnswerSkeleton(), tokenizer, END
    )

    texts = ('{"route": "code_review"}', '{"route": "review"}', '{"route": "other"}')
    assert tuple((*tokenizer.encode_text(text), END) for text in texts) == sequences


def test_id_that_spells_the_end_token_cannot_end_the_answer(tokenizer: BytePairTokenizer) -> None:
    """Route ids are plain text, so the end token stands at the end of each sequence and nowhere else."""
    (end,) = tokenizer.encode_template("<|im_end|>")

    sequences = candidate_sequences(
        make_routes(("a<|im_end|>", "d"), ("<tool_call>", "d")), AnswerSkeleton(), tokenizer, end
    )

    assert [end] * 3 == [sequence[-1] for sequence in sequences]
    assert all(tokenizer.control_ids.isdisjoint(sequence[:-1]) for sequence in sequences)


def test_ids_the_tokenizer_cannot_tell_apart_are_refused() -> None:
    """A model could never answer one of them rather than the other, so the policy set is at fault, by field."""

    class CaseBlind:
        """Lower-cases all text, as the normaliser of an uncased checkpoint does."""

        vocab_size = 5000
        inner = LongestMatchTokenizer()

        def encode_text(self, text: str) -> tuple[int, ...]:
            """Encode in lower case."""
            ids: tuple[int, ...] = self.inner.encode_text(text.lower())
            return ids

        encode_template = encode_text

    with pytest.raises(PolicySetInvalidError) as caught:
        candidate_sequences(make_routes(("a", "d"), ("Other", "d"), ("A", "d")), AnswerSkeleton(), CaseBlind(), END)

    assert [
        ("routes[1].id", "'Other' is the same to the model's tokenizer as 'other'; choose another id"),
        ("routes[2].id", "'A' is the same to the model's tokenizer as 'a'; choose another id"),
    ] == [(finding.field_path, finding.message) for finding in caught.value.findings]
