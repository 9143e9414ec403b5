"""From policy set and conversation to token ids, with a tokenizer of the Qwen2 kind."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.prompts import FORMATS, LARGE, BytePairTokenizer, LongestMatchTokenizer, make_routes

from archrouter.domain.answer import AnswerSkeleton, Quoting, candidate_sequences
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.dialect import Dialect
from archrouter.domain.errors import PromptTemplateError, PromptTooLongError
from archrouter.domain.prompt import MIN_MESSAGE_TOKENS, AbandonedError, CompiledPrompt, PromptCompiler
from archrouter.domain.scoring import Overflow
from archrouter.domain.template import PromptTemplate
from archrouter.domain.truncation import ELISION_MARKER

TEXT = st.text(max_size=60)
TURNS = st.lists(st.tuples(st.sampled_from([Role.USER, Role.ASSISTANT]), st.text(min_size=1, max_size=60)), max_size=6)
CONTROL = re.compile(r"<\|\w+\|>|</?tool_call>")


def conversation(*turns: tuple[Role, str]) -> Conversation:
    """Make a conversation from pairs."""
    return Conversation.from_messages(tuple(Message(role, text) for role, text in turns))


@pytest.fixture(scope="session")
def compiled(tokenizer: BytePairTokenizer) -> dict[Dialect, CompiledPrompt]:
    """One small policy set in each dialect."""
    policy_set = make_routes(("code_generation", "Writing code"), ("code_review", "Judging code"), ("翻译", "翻译文本"))
    return {
        dialect: PromptCompiler(each, tokenizer, max_prompt_token_count=LARGE).compile(policy_set)
        for dialect, each in FORMATS.items()
    }


@given(
    routes=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3),
    turns=TURNS,
    question=TEXT,
    dialect=st.sampled_from(Dialect),
)
def test_ids_of_the_pieces_are_the_ids_of_the_whole_text(
    routes: list[tuple[str, str]],
    turns: list[tuple[Role, str]],
    question: str,
    dialect: Dialect,
    tokenizer: BytePairTokenizer,
) -> None:
    """For any Unicode in routes and messages, in every dialect, every seam is where the tokenizer cuts anyway."""
    messages = (*(Message(role, text) for role, text in turns), Message(Role.USER, question))
    segments = FORMATS[dialect].segments(make_routes(*routes).routes, messages)
    # Text that spells a control token is another matter: it must not have the ids of the whole.
    assume(not any(CONTROL.search(segment.text) for segment in segments if not segment.is_template))

    pieces = [token for segment in segments for token in segment.encode(tokenizer)]

    assert pieces == list(tokenizer.encode_template("".join(segment.text for segment in segments)))


@pytest.mark.parametrize("dialect", Dialect)
def test_prompt_is_prefix_messages_and_tail(
    dialect: Dialect, compiled: dict[Dialect, CompiledPrompt], tokenizer: BytePairTokenizer
) -> None:
    """The prefix is the same for every conversation, and the ids are those of the text."""
    prompts = [
        compiled[dialect].assemble(conversation((Role.USER, "Write code."), (Role.ASSISTANT, ""), (Role.USER, text)))
        for text in ("Now review it!", "现在翻译。")
    ]

    texts = [tokenizer.decode(prompt.ids) for prompt in prompts]
    for prompt, text in zip(prompts, texts, strict=True):
        assert compiled[dialect].prefix_ids == prompt.ids[: prompt.prefix_token_count]
        assert compiled[dialect].tail_ids == prompt.ids[-len(compiled[dialect].tail_ids) :]
        assert tokenizer.encode_template(text) == prompt.ids
        assert (0, 0) == (prompt.dropped_message_count, prompt.dropped_token_count)
        assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
        assert '"assistant"' not in text


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("quoting", Quoting)
def test_answer_continues_the_prompt_without_a_seam(
    quoting: Quoting, dialect: Dialect, tokenizer: BytePairTokenizer
) -> None:
    """Prompt and each candidate's answer together have the ids of their joined text, as in training."""
    skeleton = AnswerSkeleton(prefix='{"route": ', quoting=quoting)
    policy_set = make_routes(("code_review", "d"), ("翻译", "d"), ("it's", "d"), ("_x", "d"), ('"', "d"), ("🙂", "d"))
    compiler = PromptCompiler(replace(FORMATS[dialect], skeleton=skeleton), tokenizer, max_prompt_token_count=LARGE)
    prompt = compiler.compile(policy_set).assemble(conversation((Role.USER, "Write code.")))
    (end,) = tokenizer.encode_template("<|im_end|>")

    for sequence in candidate_sequences(policy_set, skeleton, tokenizer, end):
        ids = prompt.ids + sequence

        assert ids == tokenizer.encode_template(tokenizer.decode(ids))


def test_forced_run_ends_where_the_ids_begin(tokenizer: BytePairTokenizer) -> None:
    """The usual decision asks once, right after the opening quote."""
    compiler = PromptCompiler(FORMATS[Dialect.CARD], tokenizer, max_prompt_token_count=LARGE)

    trie = compiler.compile(make_routes(("code", "d"), ("legal", "d"), ("travel", "d"))).trie

    assert tokenizer.decode(trie.forced) == '{"route": "'
    assert trie.candidate_count == 4


@given(
    before=TURNS,
    question=st.text(min_size=1, max_size=400).filter(str.strip),
    after=TURNS,
    extra=st.integers(0, 300),
    dialect=st.sampled_from(Dialect),
)
def test_prompt_never_exceeds_the_budget_and_keeps_the_latest_user_message(
    before: list[tuple[Role, str]],
    question: str,
    after: list[tuple[Role, str]],
    extra: int,
    dialect: Dialect,
    compiled: dict[Dialect, CompiledPrompt],
    tokenizer: BytePairTokenizer,
) -> None:
    """For any conversation and any budget that the policies leave, and for the longest call as well."""
    roomy = compiled[dialect]
    replies = [(Role.ASSISTANT, text) for _, text in after]
    talk = conversation(*before, (Role.USER, question), *replies)
    budget = LARGE - roomy.max_conversation_token_count + 64 + extra
    tight = replace(roomy, max_prompt_token_count=budget)

    prompt, full = tight.assemble(talk), roomy.assemble(talk)

    assert len(prompt.ids) + roomy.trie.max_path_token_count <= budget
    assert len(full.ids) == len(prompt.ids) + prompt.dropped_token_count
    if dialect is Dialect.CARD:  # the other one's text is normalised, so it need not equal the caller's
        start, end = prompt.prefix_token_count, len(prompt.ids) - len(roomy.tail_ids)
        kept = json.loads('[{"' + tokenizer.decode(prompt.ids[start:end]))
        assert len(talk.messages) == prompt.dropped_message_count + len(kept)
        latest = [message["content"] for message in kept if message["role"] == "user"][-1]
        head, marker, tail = latest.partition(ELISION_MARKER)
        assert question == latest or (marker and question.startswith(head) and question.endswith(tail) and head)


def test_too_long_conversation_is_refused_where_truncation_is_not_allowed(
    compiled: dict[Dialect, CompiledPrompt],
) -> None:
    """The error gives the exact count, the longest call included."""
    roomy = compiled[Dialect.CARD]
    talk = conversation((Role.USER, "a b c " * 50))
    needed = len(roomy.assemble(talk).ids) + roomy.trie.max_path_token_count

    fits = replace(roomy, max_prompt_token_count=needed).assemble(talk, Overflow.REJECT)
    with pytest.raises(PromptTooLongError) as caught:
        replace(roomy, max_prompt_token_count=needed - 1).assemble(talk, Overflow.REJECT)

    assert needed == len(fits.ids) + roomy.trie.max_path_token_count
    assert (needed, needed - 1) == (caught.value.prompt_token_count, caught.value.max_prompt_token_count)


def test_an_abandoned_conversation_is_tokenised_no_further(compiled: dict[Dialect, CompiledPrompt]) -> None:
    """Once its caller has gone, at most the message being tokenised is finished."""
    answers = iter((False, False, True))
    talk = conversation(*((Role.USER, "a b c"),) * 8)

    with pytest.raises(AbandonedError):
        compiled[Dialect.CARD].assemble(talk, is_abandoned=lambda: next(answers))

    assert [] == list(answers)


@pytest.mark.parametrize("dialect", Dialect)
def test_policies_that_leave_no_room_are_refused_when_compiled(dialect: Dialect, tokenizer: BytePairTokenizer) -> None:
    """The reported count is exactly the budget that would do; with it, the longest message still fits."""
    policy_set = make_routes(("a", "word " * 100), ("b", "d"))
    with pytest.raises(PromptTooLongError) as caught:
        PromptCompiler(FORMATS[dialect], tokenizer, max_prompt_token_count=200).compile(policy_set)
    enough = caught.value.prompt_token_count

    with pytest.raises(PromptTooLongError):
        PromptCompiler(FORMATS[dialect], tokenizer, max_prompt_token_count=enough - 1).compile(policy_set)
    prompt = (
        PromptCompiler(FORMATS[dialect], tokenizer, max_prompt_token_count=enough)
        .compile(policy_set)
        .assemble(conversation((Role.USER, "x" * 10_000)))
    )

    assert caught.value.max_prompt_token_count == 200
    assert enough - MIN_MESSAGE_TOKENS <= len(prompt.ids) <= enough


def compile_with_limit(tokenizer: BytePairTokenizer, max_message_count: int | None) -> CompiledPrompt:
    """Compile for weights that read so many messages."""
    prompt_format = FORMATS[Dialect.PLANO]
    compiler = PromptCompiler(
        prompt_format, tokenizer, max_prompt_token_count=LARGE, max_message_count=max_message_count
    )
    return compiler.compile(make_routes(("a", "b")))


@given(turns=TURNS, question=TEXT.filter(str.strip), max_message_count=st.integers(2, 4))
def test_only_the_newest_messages_are_read_where_the_weights_have_a_limit(
    turns: list[tuple[Role, str]], question: str, max_message_count: int, tokenizer: BytePairTokenizer
) -> None:
    """The prompt is that of the newest messages alone, and what is left out is reported as dropped."""
    whole = (*(turn for turn in turns if turn[1].strip()), (Role.USER, question))

    prompt = compile_with_limit(tokenizer, max_message_count).assemble(conversation(*whole))

    without = compile_with_limit(tokenizer, None)
    assert without.assemble(conversation(*whole[-max_message_count:])).ids == prompt.ids
    assert max(len(whole) - max_message_count, 0) == prompt.dropped_message_count
    assert sum(-(-len(text) // 4) for _, text in whole[:-max_message_count]) == prompt.dropped_token_count


def test_the_latest_user_message_is_read_even_when_it_is_not_among_the_newest(tokenizer: BytePairTokenizer) -> None:
    """It decides the route; three answers after it push out no more than the oldest of them."""
    answers = [(Role.ASSISTANT, text) for text in ("one", "two", "three")]

    prompt = compile_with_limit(tokenizer, 2).assemble(conversation((Role.USER, "question"), *answers))

    expected = compile_with_limit(tokenizer, None).assemble(conversation((Role.USER, "question"), answers[-1]))
    assert (expected.ids, 2) == (prompt.ids, prompt.dropped_message_count)


def test_messages_beyond_the_limit_do_not_make_a_conversation_too_long(tokenizer: BytePairTokenizer) -> None:
    """They are not read, so they are no reason to refuse a request that must not be truncated."""
    long = replace(compile_with_limit(tokenizer, 2), max_prompt_token_count=1000)
    turns = [(Role.USER, "word " * 3000), (Role.ASSISTANT, "Done."), (Role.USER, "question")]

    assert 1 == long.assemble(conversation(*turns), Overflow.REJECT).dropped_message_count


def test_compiled_prompt_names_its_revision(tokenizer: BytePairTokenizer) -> None:
    """A cache of compiled prompts can tell which policy set each is for."""
    policy_set = make_routes(("a", "d"))

    compiled_prompt = PromptCompiler(FORMATS[Dialect.CARD], tokenizer, max_prompt_token_count=LARGE).compile(policy_set)

    assert policy_set.revision == compiled_prompt.policy_set_revision
    assert tokenizer.vocab_size == compiled_prompt.vocab_size


@pytest.mark.parametrize("merge", ['"name', '"role', '"}]\n\n</', '\n{"', "}<|im_end|>"])
def test_tokenizer_that_merges_across_a_seam_is_refused(merge: str) -> None:
    """Every seam is checked when the bundle is loaded: before routes, messages, tail and answer."""
    tokenizer = LongestMatchTokenizer([merge])

    with pytest.raises(PromptTemplateError, match="merges text across the seam"):
        PromptCompiler(FORMATS[Dialect.CARD], tokenizer, max_prompt_token_count=LARGE)


def test_slot_without_a_line_break_after_it_is_refused_where_it_merges() -> None:
    """The error says what to do to a template that leaves no place to cut."""
    template = PromptTemplate.parse("<routes>{routes}</routes>\n<conversation>\n{conversation}\n</conversation>")
    prompt_format = replace(FORMATS[Dialect.CARD], template=template)

    with pytest.raises(PromptTemplateError, match="put a line break at the seam"):
        PromptCompiler(prompt_format, LongestMatchTokenizer(["]</"]), max_prompt_token_count=LARGE)


def test_merges_inside_the_template_are_no_obstacle() -> None:
    """Chat head and prompt are tokenised together, so the line breaks between them may merge."""
    PromptCompiler(FORMATS[Dialect.CARD], LongestMatchTokenizer(["user\n\n", '\n\n[{"']), max_prompt_token_count=LARGE)


def test_end_token_of_several_tokens_is_refused(tokenizer: BytePairTokenizer) -> None:
    """A name that is no control token would end no answer."""
    prompt_format = replace(FORMATS[Dialect.CARD], end_token="</stop>")  # noqa: S106 - no password

    with pytest.raises(PromptTemplateError, match=r"'</stop>' is \d tokens"):
        PromptCompiler(prompt_format, tokenizer, max_prompt_token_count=LARGE)


def test_tokenizer_whose_plain_text_can_spell_the_end_token_is_refused() -> None:
    """Such a tokenizer would let a caller close the turn."""
    with pytest.raises(PromptTemplateError, match="plain text can spell the end token"):
        PromptCompiler(
            FORMATS[Dialect.CARD], LongestMatchTokenizer(plain_sees_control=True), max_prompt_token_count=LARGE
        )
