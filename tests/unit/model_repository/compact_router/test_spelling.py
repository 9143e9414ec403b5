"""Typing mistakes are put right, and nothing else is touched."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from compact_model.router import CompactRouter
from compact_model.spelling import Spelling, likely_words

from archrouter.evaluation.wording import with_typo


@pytest.fixture(scope="module")
def spelling(model_directory: Path) -> Spelling:
    """Load the committed words."""
    return Spelling(model_directory / "1" / "words.txt")


def nothing(_word: str) -> bool:
    """Know no word beyond words.txt."""
    return False


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("I want to cancle my booking", "I want to cancel my booking"),
        ("when does the shippment arrive?", "when does the shipment arrive?"),
        ("Paymnet is due, pleas help", "payment is due, pleas help"),
        ("a resturant near my hotel", "a restaurant near my hotel"),
        ("what is the refundd policy", "what is the refund policy"),
    ],
)
def test_a_likely_mistake_is_put_right(spelling: Spelling, typed: str, meant: str) -> None:
    """Letters swapped, left out, doubled or replaced; the rest of the message stays letter by letter."""
    assert meant == spelling.correct(typed, nothing)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Book a table for two",
        "pay it with crypto, maildrop or checkings",
        "amex, lyft, jira and sudo",
        "the mcdonalds in wendys street",
        "open /home/paymnet/shippment.txt and --shippment=adress",
        "def shippment(adress): return adress",
        "see https://shippment.example/adress",
        "v2shippment shippment2 shippment_id",
        "Ich möchte meine Rechnung nochmals erhalten",
        "je souhaite renvoyer la montre connectee",
        "ключ, 夏目漱石 und भैया",
    ],
)
def test_what_is_no_mistake_stays(spelling: Spelling, text: str) -> None:
    """Known words, names, short words, plurals, paths, code, addresses and other languages."""
    assert text == spelling.correct(text, nothing)


def test_a_word_that_is_known_elsewhere_stays(spelling: Spelling) -> None:
    """The encoder's vocabulary and the policies' own words are words too."""
    known: Callable[[str], bool] = {"venmo"}.__contains__

    assert "pay by venom please now" == spelling.correct("pay by venmo please now", nothing)
    assert "pay by venmo please now" == spelling.correct("pay by venmo please now", known)


@pytest.mark.parametrize("text", ["shippment adress resturant", "the shippment of my order, " * 31])
def test_a_message_of_many_unknown_words_is_left_alone(spelling: Spelling, text: str) -> None:
    """Too many for its length, or too many at all: nobody can say what was meant, and the time it takes is bounded."""
    assert text == spelling.correct(text, nothing)


def test_a_long_paste_is_not_looked_up_to_its_end(spelling: Spelling) -> None:
    """What a caller sends decides how long the message is, not how much is asked of it."""
    asked: list[str] = []

    def note(word: str) -> bool:
        """Note what is asked, and know nothing."""
        asked.append(word)
        return False

    text = "qwzrt " * 10_000

    assert text == spelling.correct(text, note)
    assert len(asked) < 100


@pytest.mark.parametrize(
    ("typed", "meant", "expected"),
    [
        ("refundd", "refund", True),
        ("gmail", "gail", False),
        ("adress", "address", True),
        ("vest", "best", False),
        ("paymnet", "payment", True),
    ],
)
def test_a_letter_goes_only_beside_its_like_and_the_first_one_stays(typed: str, meant: str, *, expected: bool) -> None:
    """Of one-letter differences those that people type."""
    assert expected == (meant in likely_words(typed))


def test_most_typing_mistakes_of_the_robustness_run_are_put_right(spelling: Spelling) -> None:
    """The mistakes that `archrouter eval --robustness typos` makes, in sentences of ordinary words."""
    sentence = "please change the delivery address of yesterday's second shipment before tomorrow morning"
    mistyped = [with_typo(sentence, Random(seed)) for seed in range(200)]  # noqa: S311 - reproducible, no secret

    right = [spelling.correct(each, nothing) == sentence for each in mistyped if each != sentence]

    assert sum(right) > 0.75 * len(right)


def test_a_file_without_words_is_refused(tmp_path: Path) -> None:
    """A model that silently corrected nothing would be another model."""
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "words.txt").write_text("the 23\nof many\n")

    for name in ("empty.txt", "words.txt", "missing.txt"):
        with pytest.raises(ValueError, match=rf"{name}: .*put the folder back as it was"):
            Spelling(tmp_path / name)


def test_a_mistyped_request_gets_the_scores_of_what_was_meant(
    router: CompactRouter, candidates: Sequence[bytes]
) -> None:
    """The encoder never sees the mistake, unless a policy names the word."""
    meant, typed = (
        b'[{"role": "user", "content": "please %s this letter into german"}]' % word
        for word in (b"translate", b"transalte")
    )
    named = b'{"id": "x", "domain": "", "action": "x", "description": "Transalte, a game"}'

    assert router.score(meant, candidates).logits.tolist() == router.score(typed, candidates).logits.tolist()
    with_name = [*candidates, named]
    assert router.score(meant, with_name).logits.tolist() != router.score(typed, with_name).logits.tolist()


@pytest.mark.parametrize(
    ("meant", "typed", "named"),
    [
        ("translate", "transalte", "nontransalted text"),
        ("translate", "transalte", "transalter"),
        ("description", "descriptio", "x"),
    ],
)
def test_a_part_of_a_policys_word_is_no_word(
    router: CompactRouter, candidates: Sequence[bytes], meant: str, typed: str, named: str
) -> None:
    """Policies name whole words; the names of the fields that hold them are no words of theirs."""
    route = json.dumps({"id": "x", "domain": "", "action": "x", "description": named}).encode()

    of_meant, of_typed = (
        router.score(b'[{"role": "user", "content": "a %s of it please"}]' % word.encode(), [*candidates, route])
        for word in (meant, typed)
    )

    assert of_meant.logits.tolist() == of_typed.logits.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "Kann ich die Studiengebühren in Raten zahlen?",
        "mach aus den drei pdfs bitte eins",
        "Combien me reste-t-il avant la fin du mois ?",
        "Manda 60 euros a Ana",
        "Quanto vale il mio deposito?",
        "Por que faz frio no alto da montanha?",
        "Wat staat er op deze link over retourneren?",
        "Przerób ten plik na worda",
        "Transkript almak istiyorum",
        "python me list ulti kaise karu",
        "Hallo",
        "我的 pakage 在哪里?",
    ],
)
def test_no_word_of_another_language_is_corrected(spelling: Spelling, text: str) -> None:
    """Many are one letter away from an English word, and some messages have only one that English does not know."""
    assert text == spelling.correct(text, nothing)
