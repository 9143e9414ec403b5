"""Turn records into samples for supervised fine-tuning: one for each labelled turn, with all that came before it.

A sample is one line of JSON in TRL's prompt-completion format, ``prompt`` and ``completion``, whose loss is on the
completion only. A ``text`` sample holds the whole prompt, chat template included, and the answer with its end token; a
``messages`` sample holds the user's message and the assistant's, and leaves the chat template to the trainer. The
tokens from ``loss_span[0]`` up to ``loss_span[1]`` are the answer's, counted in the bundle's own tokens of the whole
text; ``--tokens`` writes them all (``input_ids``). The prompt is the one the service sends, byte for byte; where it
would be too long, the oldest messages are left out as a whole, and the turn itself when it does not fit even alone.
"""

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archrouter.bundles.loader import load_bundle
from archrouter.domain.conversation import Conversation, Message
from archrouter.domain.dialect import Dialect
from archrouter.domain.errors import PolicySetInvalidError, PromptTooLongError
from archrouter.domain.prompt import CompiledPrompt, PromptCompiler
from archrouter.domain.scoring import Overflow
from archrouter.domain.template import PromptFormat
from archrouter.domain.tokens import TokenIds, Tokenizer
from data.errors import DataError
from data.folders import replaced_file
from data.program import make_parser, print_result, tracked
from data.record_files import read_records
from data.records import Record

EXAMPLES = (
    "out/train out/train.sft.jsonl --bundle out/bundle",
    "out/train out/train.sft.jsonl --bundle out/bundle --dialect gateway --form messages",
    "out/train out/train.sft.jsonl --bundle out/bundle --tokens --json",
)
FORMS = ("text", "messages")


class SampleError(DataError):
    """There is nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and the right answer.

    Attributes:
        id: Record and turn.
        record: What it is made from.
        prompt: The user message the model reads, without the chat template.
        answer: What it shall answer, without the end token.
        prompt_ids: Tokens of the whole prompt, chat template included.
        answer_ids: Tokens of the answer and the end token: those the loss is on.
        dropped_message_count: Oldest messages left out because the prompt would be too long.
    """

    id: str
    record: Record
    prompt: str
    answer: str
    prompt_ids: TokenIds
    answer_ids: TokenIds
    dropped_message_count: int


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 0."""
    given = _parsed(arguments)
    bundle = load_bundle(given.bundle)
    prompt_format = replace(bundle.prompt_format, dialect=Dialect(given.dialect or bundle.prompt_format.dialect))
    limit = given.max_prompt_tokens or bundle.profile.max_prompt_token_count
    maker = SampleMaker(prompt_format, bundle.tokenizer, bundle.end_id, limit)
    records = read_records(given.records)
    samples = (sample for record in tracked(records, "writing", total=len(records)) for sample in maker.samples(record))
    lines = (
        (sample, sample_document(sample, prompt_format, form=given.form, with_tokens=given.tokens))
        for sample in samples
    )
    written = tokens = shortened = 0
    with replaced_file(given.output) as file:
        for sample, document in lines:
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
            written += 1
            tokens += len(sample.prompt_ids) + len(sample.answer_ids)
            shortened += sample.dropped_message_count > 0
        if not written:
            msg = f"no turn fits into {limit} tokens together with its policies; give more with --max-prompt-tokens"
            raise SampleError(msg)
    totals = {"samples": written, "tokens": tokens, "shortened": shortened, "left_out": maker.left_out}
    text = f"{written} samples, {tokens} tokens; {shortened} without their oldest messages, {maker.left_out} left out"
    print_result({**totals, "prompt_template_version": prompt_format.version}, text, as_json=given.json)
    return 0


def _parsed(arguments: Sequence[str]) -> Namespace:
    parser = make_parser("sft", str(__doc__), EXAMPLES)
    parser.add_argument("records", type=Path, help="folder of records")
    parser.add_argument("output", type=Path, help="file to write, JSON Lines")
    parser.add_argument("--bundle", type=Path, required=True, help="prompt bundle: tokenizer, prompt, answer")
    parser.add_argument("--dialect", choices=[each.value for each in Dialect], help="default: the bundle's")
    parser.add_argument("--form", choices=FORMS, default=FORMS[0], help="default: %(default)s")
    parser.add_argument(
        "--max-prompt-tokens", type=int, help="tokens of a prompt and its answer at most (default: the bundle's limit)"
    )
    parser.add_argument("--tokens", action="store_true", help="write the token ids as well")
    return parser.parse_args(arguments)


class SampleMaker:
    """Makes samples with one prompt format.

    Attributes:
        left_out: Labelled turns so far whose policies and message are too long together.
    """

    def __init__(
        self, prompt_format: PromptFormat, tokenizer: Tokenizer, end_id: int, max_prompt_token_count: int
    ) -> None:
        """Take the parts of a bundle.

        Args:
            prompt_format: Prompt, dialect and form of the answer.
            tokenizer: The checkpoint's.
            end_id: Token that ends the model's turn.
            max_prompt_token_count: Tokens the model reads at most.
        """
        self._format = prompt_format
        self._tokenizer = tokenizer
        self._end_id = end_id
        self._compiler = PromptCompiler(prompt_format, tokenizer, max_prompt_token_count=max_prompt_token_count)
        self.left_out = 0

    def samples(self, record: Record) -> Iterator[Sample]:
        """Make one sample for each labelled turn that fits, with the messages up to it and never a later one."""
        try:
            compiled = self._compiler.compile(record.as_policy_set())
        except (PromptTooLongError, PolicySetInvalidError):
            self.left_out += len(record.labels)
            return
        for index, route in record.labels:
            sample = self._sample(record, compiled, index, route)
            if sample is None:
                self.left_out += 1
            else:
                yield sample

    def _sample(self, record: Record, compiled: CompiledPrompt, index: int, route: str) -> Sample | None:
        messages = record.messages[: index + 1]
        for dropped in range(len(messages)):
            shown = messages[dropped:]
            ids = _fitting(compiled, shown)
            if ids is not None:
                answer = self._format.skeleton.render(route)
                segments = self._format.segments(record.routes, shown)
                text = "".join(segment.text for segment in segments)
                return Sample(
                    id=f"{record.id}#{index}",
                    record=record,
                    prompt=text[len(self._format.chat_head) : len(text) - len(self._format.chat_tail)],
                    answer=answer,
                    prompt_ids=ids,
                    answer_ids=(*self._tokenizer.encode_text(answer), self._end_id),
                    dropped_message_count=dropped,
                )
        return None


def sample_document(
    sample: Sample, prompt_format: PromptFormat, *, form: str, with_tokens: bool = False
) -> dict[str, object]:
    """Write a sample as what JSON can hold, its form ``text`` or ``messages``, with or without the token ids."""
    end = len(sample.prompt_ids) + len(sample.answer_ids)
    prompt: object = f"{prompt_format.chat_head}{sample.prompt}{prompt_format.chat_tail}"
    completion: object = f"{sample.answer}{prompt_format.end_token}"
    if form == "messages":
        prompt = [{"role": "user", "content": sample.prompt}]
        completion = [{"role": "assistant", "content": sample.answer}]
    document: dict[str, object] = {
        "id": sample.id,
        "policy_set": sample.record.policy_set,
        "augmentations": list(sample.record.provenance.augmentations),
        "prompt": prompt,
        "completion": completion,
        "loss_span": [len(sample.prompt_ids), end],
        "dropped_message_count": sample.dropped_message_count,
    }
    return document | ({"input_ids": [*sample.prompt_ids, *sample.answer_ids]} if with_tokens else {})


def _fitting(compiled: CompiledPrompt, messages: Sequence[Message]) -> TokenIds | None:
    """Tokenise a prompt; None when it is too long."""
    try:
        return compiled.assemble(Conversation.from_messages(tuple(messages)), Overflow.REJECT).ids
    except PromptTooLongError:
        return None
