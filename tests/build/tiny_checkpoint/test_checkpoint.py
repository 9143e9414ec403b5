"""The committed tiny checkpoint is what a real checkpoint's directory looks like, and its recipe's corpus is sound."""

import ast
import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tiny_checkpoint.corpus import MAX_ROUTE_COUNT, MIN_ROUTE_COUNT, NO_MATCH, load_world, make_example
from tiny_checkpoint.prompt import PROMPT_TEMPLATE, answer, chat_prompt, user_prompt
from tokenizers import Tokenizer

CHECKPOINT = Path(__file__).parents[3] / "tests" / "data" / "tiny_checkpoint"
GOLDEN = [json.loads(line) for line in (CHECKPOINT / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
MAX_SIZE_BYTES = 3_000_000
WORLD = load_world()


def seeded(seed: int) -> Random:
    """Give a reproducible source of choices."""
    return Random(seed)  # noqa: S311  # toy data, not a secret


def read_json(name: str) -> dict[str, Any]:  # Any: JSON of several shapes
    """Read a JSON file of the checkpoint."""
    content: dict[str, Any] = json.loads((CHECKPOINT / name).read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Give the checkpoint's tokenizer."""
    return Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))


def test_the_checkpoint_is_small_enough_for_git() -> None:
    """Weights, export, tokenizer and golden examples together stay under 3 MB."""
    assert sum(path.stat().st_size for path in CHECKPOINT.rglob("*") if path.is_file()) <= MAX_SIZE_BYTES


def test_the_cards_two_literals_compose_the_prompt_template() -> None:
    """A pipeline that reads TASK_INSTRUCTION and FORMAT_PROMPT from the card finds the prompt of the training."""
    card = (CHECKPOINT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    literals = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    template = (CHECKPOINT / "prompt_template.txt").read_text(encoding="utf-8")

    assert template == literals["TASK_INSTRUCTION"] + literals["FORMAT_PROMPT"]
    assert PROMPT_TEMPLATE == template


def test_the_template_has_its_two_slots_once_inside_their_tags() -> None:
    """Routes come before the conversation, so that the policy set's tokens are a prefix that requests share."""
    template = (CHECKPOINT / "prompt_template.txt").read_text(encoding="utf-8")

    assert Counter({"{routes}": 1, "{conversation}": 1}) == Counter(re.findall(r"\{[a-z]+\}", template))
    assert template.index("<routes>") < template.index("{routes}") < template.index("</routes>")
    assert template.index("</routes>") < template.index("<conversation>") < template.index("{conversation}")


def test_the_special_tokens_follow_the_vocabulary_which_the_logits_pad(tokenizer: Tokenizer) -> None:
    """As in the real checkpoint: pad, turn start and turn end are the last ids, and the logits have more rows."""
    config, generation = read_json("config.json"), read_json("generation_config.json")
    special_ids = [tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]

    assert list(range(960, 963)) == special_ids
    assert 963 == tokenizer.get_vocab_size() < config["vocab_size"] == 1024
    assert [special_ids[2], special_ids[0]] == generation["eos_token_id"]
    assert special_ids[0] == generation["pad_token_id"]
    assert ["Qwen2ForCausalLM"] == config["architectures"]


@given(text=st.text(max_size=40))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    """Byte-level BPE has no unknown token; only Unicode normalisation (NFC) may change a text."""
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    normalized = tokenizer.normalizer.normalize_str(text)

    assert normalized == tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False)


@pytest.mark.parametrize("example", GOLDEN, ids=range(len(GOLDEN)))
def test_golden_prompts_are_what_template_chat_template_and_tokenizer_give(
    tokenizer: Tokenizer, example: dict[str, Any]
) -> None:
    """Filling the template in the card's dialect and rendering the chat template reproduces the golden token ids."""
    template = (CHECKPOINT / "prompt_template.txt").read_text(encoding="utf-8")
    content = template.replace("{routes}", json.dumps(example["routes"]))
    content = content.replace("{conversation}", json.dumps(example["conversation"]))
    chat_template = ImmutableSandboxedEnvironment().from_string(read_json("tokenizer_config.json")["chat_template"])
    text = chat_template.render(messages=[{"role": "user", "content": content}], add_generation_prompt=True)

    assert example["prompt_token_ids"] == tokenizer.encode(text, add_special_tokens=False).ids
    names = [route["name"] for route in example["routes"]]
    assert [*names, NO_MATCH] == list(example["candidates"])
    for name, candidate in example["candidates"].items():
        assert candidate["token_ids"] == tokenizer.encode(answer(name), add_special_tokens=False).ids


def test_the_checkpoint_beats_chance_clearly_on_heldout_examples() -> None:
    """Its accuracy is at least three times that of a uniform choice, and twice that of always answering other."""
    evaluation = read_json("evaluation.json")

    assert evaluation["accuracy"] >= 3 * evaluation["chance"]
    assert evaluation["accuracy"] >= 2 * evaluation["most_frequent"]
    assert 500 == evaluation["example_count"]


def test_every_route_name_belongs_to_one_topic() -> None:
    """A name that two topics share would make two routes of one policy set equal."""
    counts = Counter(name for topic in WORLD.topics for name in topic.names)

    assert {1} == set(counts.values())
    assert NO_MATCH not in counts


def test_heldout_sentences_are_never_trained_on() -> None:
    """Accuracy on them measures more than memory."""
    trained = {message for topic in WORLD.topics for message in topic.messages}

    assert not trained & {message for topic in WORLD.topics for message in topic.heldout}


@given(seed=st.integers(0, 2**32), heldout=st.booleans())
def test_an_example_asks_about_its_own_policy_set(seed: int, *, heldout: bool) -> None:
    """The right answer is a candidate, names are unique, the user speaks last, and equal seeds give equal examples."""
    example, again = (make_example(WORLD, seeded(seed), heldout=heldout) for _ in range(2))
    names = [route.name for route in example.routes]

    assert example == again
    assert MIN_ROUTE_COUNT <= len(names) == len(set(names)) <= MAX_ROUTE_COUNT
    assert example.route_name in example.candidate_names
    assert ["user", "assistant"] * (len(example.conversation) // 2) + ["user"] == [
        message.role for message in example.conversation
    ]
    assert user_prompt(example.routes, example.conversation) in chat_prompt(example.routes, example.conversation)
