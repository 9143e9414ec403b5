"""One trained tokenizer for all tests of the domain."""

import pytest
from tests.support.prompts import GOLDEN, BytePairTokenizer


@pytest.fixture(scope="session")
def tokenizer() -> BytePairTokenizer:
    """The trained tokenizer; its corpus holds the prompts, so it knows merges such as ``"},{"``."""
    corpus = [path.read_bytes().decode() for path in sorted(GOLDEN.glob("*.txt"))]
    return BytePairTokenizer(corpus * 2)
