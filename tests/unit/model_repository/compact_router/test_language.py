"""The kept identifier against requests in eleven languages, written for this project."""

import json
import shutil
from pathlib import Path

import pytest
from compact_model.encoder import TOKENIZER, Encoders
from compact_model.language import is_english

LANGUAGES = Path(__file__).parents[4] / "benchmarks" / "data" / "languages"
OTHERS = sorted(path.stem for path in LANGUAGES.glob("*.jsonl") if path.stem != "english")


def requests_in(language: str) -> list[str]:
    """Read what users ask."""
    lines = (LANGUAGES / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"][-1]["content"] for line in lines]


def test_no_request_in_english_is_taken_for_another_language() -> None:
    """The encoder of English reads it better."""
    assert False not in {is_english(text) for text in requests_in("english")}


@pytest.mark.parametrize("language", OTHERS)
def test_most_requests_in_other_languages_are_told(language: str) -> None:
    """More than eight of ten; of the others the encoder of English makes what it can."""
    told = [is_english(text) is False for text in requests_in(language)]

    assert sum(told) >= 0.85 * len(told)


@pytest.mark.parametrize("text", ["网站今天特别慢", "هل دراجتي جاهزة؟"])
def test_which_language_it_is_may_be_open(text: str) -> None:
    """Chinese of whatever kind is no English, nor is Arabic or Persian."""
    assert False is is_english(text)


@pytest.mark.parametrize("text", ["", "ok", "pizza", "naïve", "12345 67890!", "to ines@a.example", "\ud800 \ud800"])
def test_a_short_text_tells_nothing(text: str) -> None:
    """Words that several languages have, addresses, and no words."""
    assert is_english(text) is None


@pytest.mark.parametrize("text", ["дом", "はい", "好", "नहीं", "예", "PDF 导出失败"])
def test_another_script_tells_in_a_word(text: str) -> None:
    """English is written in Latin letters; a name in them does not make a text English."""
    assert False is is_english(text)


def test_what_is_no_text_hides_no_language() -> None:
    """A lone surrogate breaks nothing."""
    assert False is is_english("où est mon colis \ud800, s'il vous plaît ?")


def test_a_long_message_is_known_by_its_beginning() -> None:
    """Lines and length make no difference."""
    assert False is is_english("Où est mon colis ?\nIl devait arriver hier.\n" + "0" * 1_000_000)


def test_a_reply_of_a_word_is_read_in_the_language_of_what_came_before(model_directory: Path) -> None:
    """The latest message decides that tells; a conversation of nothing but such words is taken for English."""
    encoders = Encoders(model_directory / "1", intra_op_thread_count=1)
    in_german, in_english = ("ja, bitte", "Ich brauche ein Hotel in Rom"), ("ok", "I need a hotel in Rome")
    changed = ("now in English please", "Ich brauche ein Hotel in Rom")

    chosen = [encoders.of(texts) is encoders.english for texts in (in_german, in_english, changed, ("ok",), ())]

    assert [False, True, True, True, True] == chosen


def test_a_model_without_the_second_encoder_reads_everything_with_the_first(
    model_directory: Path, tmp_path: Path
) -> None:
    """It is one that this recipe made before it is taught other languages."""
    for name in ("encoder.onnx", TOKENIZER):
        shutil.copy(model_directory / "1" / name, tmp_path)

    encoders = Encoders(tmp_path, intra_op_thread_count=1)

    assert encoders.of(["Où est mon colis, s'il vous plaît ?"]) is encoders.english
