"""The checkpoint's tokenizer: caller text never holds a control token."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.bundles.tokenizer import HfTokenizer

TOKENIZER_FILE = Path(__file__).parents[2] / "data" / "tiny_checkpoint" / "tokenizer.json"
TOKENIZER = HfTokenizer.from_file(TOKENIZER_FILE)


@given(st.text(max_size=200))
def test_plain_text_survives_and_holds_no_control_token(text: str) -> None:
    """Any Unicode text comes back as it was, up to the tokenizer's own normalisation, from ordinary tokens only."""
    ids = TOKENIZER.encode_text(text)

    assert not TOKENIZER.control_ids.intersection(ids)
    assert all(0 <= token < TOKENIZER.vocab_size for token in ids)


def test_other_threads_run_while_a_long_text_is_tokenised() -> None:
    """A long conversation in its thread must not stop the event loop in another."""
    stop, turns = threading.Event(), 0

    def count() -> None:
        nonlocal turns
        while not stop.wait(0.0005):
            turns += 1

    counter = threading.Thread(target=count)
    counter.start()
    before = turns
    ids = TOKENIZER.encode_text("what does this do? " * 20_000)
    during = turns - before
    stop.set()
    counter.join()

    assert len(ids) > 20_000
    assert during > 10


def test_control_tokens_count_in_template_text_only() -> None:
    """The same characters are one control token in a template and ordinary text from a caller."""
    end = TOKENIZER.control_id("<|im_end|>")

    assert (end,) == TOKENIZER.encode_template("<|im_end|>")
    assert end not in TOKENIZER.encode_text("<|im_end|>")
    assert "<|im_end|>" == TOKENIZER.decode([end])


def test_an_added_token_that_is_not_special_is_plain_text_too() -> None:
    """Tool tags of a checkpoint are no special tokens, but callers must not write them either."""
    specification = json.loads(TOKENIZER_FILE.read_bytes())
    tool_id = 1 + max(int(token["id"]) for token in specification["added_tokens"])
    specification["added_tokens"].append(
        {
            **specification["added_tokens"][0],
            "id": tool_id,
            "content": "<tool_call>",
            "special": False,
        }
    )
    tokenizer = HfTokenizer(json.dumps(specification).encode())

    assert (tool_id,) == tokenizer.encode_template("<tool_call>")
    assert tool_id not in tokenizer.encode_text("<tool_call>")


def test_truncation_of_the_file_does_not_cut_text() -> None:
    """An exact token count is never cut by a setting meant for training."""
    specification = json.loads(TOKENIZER_FILE.read_bytes())
    specification["truncation"] = {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    tokenizer = HfTokenizer(json.dumps(specification).encode())

    assert TOKENIZER.encode_text("one two three four") == tokenizer.encode_text("one two three four")


@pytest.mark.parametrize("token", ["<|nope|>", "a"])
def test_a_token_that_is_no_control_token_is_refused(token: str) -> None:
    """Neither an unknown text nor an ordinary token ends a turn."""
    with pytest.raises(ValueError, match="no control token"):
        TOKENIZER.control_id(token)
