"""The benchmark of languages: the same requests in each, and none of them trained on."""

from collections import Counter

import pytest
from data.leakage import find_leaks
from data.record_files import read_records
from data.records import Record
from data.seed_corpus import BENCHMARK, SOURCES, read_splits
from data.source_files import LANGUAGES_FOLDER

from archrouter.evaluation.dataset import read_dataset

FOLDER = BENCHMARK / "languages"
ENGLISH = "english"


@pytest.fixture(scope="module")
def records() -> tuple[Record, ...]:
    """Read the folder once."""
    return read_records(FOLDER)


def test_it_runs_under_eval_with_one_setting_a_language(records: tuple[Record, ...]) -> None:
    """English and ten others, of the same size."""
    dataset = read_dataset(FOLDER)

    assert len(records) == len(dataset.conversations)
    turns = Counter(record.setting for record in records for _ in record.labels)
    assert 11 == len(turns)
    assert {90} == set(turns.values())
    assert 11 == len({record.provenance.language for record in records})


def test_a_translation_has_the_labels_of_its_original(records: tuple[Record, ...]) -> None:
    """And the ids of its routes, whatever language they are described in."""
    originals = {record.id: record for record in records if record.setting == ENGLISH}

    for record in records:
        if record.setting != ENGLISH:
            (source,) = record.provenance.sources
            assert originals[source].labels == record.labels
            assert [route.id for route in originals[source].routes] == [route.id for route in record.routes]


def test_nothing_of_it_is_trained_on(records: tuple[Record, ...]) -> None:
    """Neither its domains nor its texts, those of scripts without spaces included."""
    corpus = [record for split in read_splits(SOURCES) for record in split.records]
    further = {
        text
        for record in corpus
        if record.provenance.origin.startswith(f"{LANGUAGES_FOLDER}/")
        for text in record.user_texts
    }

    trained = {route.domain for record in corpus for route in record.routes}
    assert set() == trained & {route.domain for record in records for route in record.routes}
    assert [] == find_leaks(corpus, records, 0.85)
    first = {record.turns[0].text for record in records if record.turns[0].has_route}
    assert set() == first & further
