"""Check that training data hold nothing of a benchmark.

Compared are the users' messages and the descriptions of the policies: the same text, nearly the same text, and a run of
words in common. Exits with 1 when something is found.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from archrouter.domain.conversation import Role
from data.program import make_parser, print_result
from data.record_files import read_records
from data.records import Record
from data.similarity import NEAR_THRESHOLD, similar_pairs
from data.texts import normalised

EXAMPLES = (
    "out/train --against benchmarks/data/test",
    "out/train out/drafted --against benchmarks/data/test --against benchmarks/data/dev --near 0.9 --json",
)

MIN_WORDS = 4
"""Shorter texts, such as "yes please", are everybody's."""

RUN_WORDS = 8
"""Words in a row that two people hardly write by chance. GPT-3's clean-up used 13 on web pages (Brown et al. 2020,
appendix C); the messages here are much shorter."""

_SHOWN_CHARACTERS = 90


class Kind(Enum):
    """How two texts are alike."""

    EXACT = "exact"
    NEAR = "near"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Text:
    """A text and its place.

    Attributes:
        place: Record and message, or policy set and route.
        text: As it was written.
        words: Normalised.
    """

    place: str
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class Leak:
    """A text of the benchmark found in the records.

    Attributes:
        kind: How alike they are.
        place: Where in the records.
        text: What is there.
        benchmark_place: Where in the benchmark.
        benchmark_text: What is there.
        similarity: 0 to 1; 1 for the same text. For a run the words in common are at least `RUN_WORDS`.
    """

    kind: Kind
    place: str
    text: str
    benchmark_place: str
    benchmark_text: str
    similarity: float


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 1 when something is found, else 0."""
    parser = make_parser("leakage", str(__doc__), EXAMPLES)
    parser.add_argument("records", type=Path, nargs="+", help="folders of records")
    parser.add_argument("--against", type=Path, action="append", required=True, help="a benchmark folder; repeatable")
    parser.add_argument("--near", type=float, default=NEAR_THRESHOLD, help="similarity of near texts (%(default)s)")
    given = parser.parse_args(arguments)
    ours = [record for folder in given.records for record in read_records(folder)]
    theirs = [record for folder in given.against for record in read_records(folder)]
    leaks = find_leaks(ours, theirs, given.near)
    document = {
        "records": len(ours),
        "benchmark_records": len(theirs),
        "leaks": [{**asdict(leak), "kind": leak.kind.value} for leak in leaks],
    }
    print_result(document, _as_text(leaks, ours, theirs), as_json=given.json)
    return 1 if leaks else 0


def find_leaks(records: Iterable[Record], benchmark: Iterable[Record], near: float) -> list[Leak]:
    """Compare messages with messages and descriptions with descriptions.

    Args:
        records: What is to be trained on.
        benchmark: What it must not hold.
        near: Similarity from which texts are nearly the same, in (0, 1].

    Returns:
        Every pair that is alike, in the most telling way. O(n x m) over the texts.
    """
    ours, theirs = list(records), list(benchmark)
    leaks = list(_leaks(_messages(ours), _messages(theirs), near))
    return leaks + list(_leaks(_descriptions(ours), _descriptions(theirs), near))


def _leaks(ours: Sequence[Text], theirs: Sequence[Text], near: float) -> Iterator[Leak]:
    pairs = {
        (pair.query, pair.choice): pair.similarity
        for pair in similar_pairs([each.words for each in ours], [each.words for each in theirs], near)
    }
    for (query, choice), similarity in pairs.items():
        same = ours[query].words == theirs[choice].words
        yield _leak(Kind.EXACT if same else Kind.NEAR, ours[query], theirs[choice], similarity)
    for query, choice in _common_runs(ours, theirs):
        if (query, choice) not in pairs:
            yield _leak(Kind.RUN, ours[query], theirs[choice], 0.0)


def _common_runs(ours: Sequence[Text], theirs: Sequence[Text]) -> Iterator[tuple[int, int]]:
    owners: dict[tuple[str, ...], set[int]] = {}
    for choice, text in enumerate(theirs):
        for run in _runs(text):
            owners.setdefault(run, set()).add(choice)
    for query, text in enumerate(ours):
        found = {choice for run in _runs(text) for choice in owners.get(run, ())}
        yield from ((query, choice) for choice in sorted(found))


def _runs(text: Text) -> Iterator[tuple[str, ...]]:
    said = text.words.split()
    return (tuple(said[start : start + RUN_WORDS]) for start in range(len(said) - RUN_WORDS + 1))


def _leak(kind: Kind, ours: Text, theirs: Text, similarity: float) -> Leak:
    return Leak(kind, ours.place, ours.text, theirs.place, theirs.text, similarity)


def _messages(records: Iterable[Record]) -> list[Text]:
    texts = (
        Text(f"{record.id}, message {index}", turn.text, normalised(turn.text))
        for record in records
        for index, turn in enumerate(record.turns)
        if turn.role is Role.USER
    )
    return [text for text in texts if len(text.words.split()) >= MIN_WORDS]


def _descriptions(records: Iterable[Record]) -> list[Text]:
    routes = {
        route.description: f"policy set {record.policy_set}, route {route.id}"
        for record in records
        for route in record.routes
    }
    return [Text(place, description, normalised(description)) for description, place in routes.items()]


def _as_text(leaks: Sequence[Leak], ours: Sequence[Record], theirs: Sequence[Record]) -> str:
    compared = f"{len(ours)} records against {len(theirs)} of the benchmark"
    if not leaks:
        return f"clean: {compared}"
    lines = [f"{len(leaks)} leaks: {compared}"]
    for leak in leaks:
        alike = f" ({leak.similarity:.0%})" if leak.kind is Kind.NEAR else ""
        lines += [
            f"{leak.kind.value}{alike}: {leak.place} and {leak.benchmark_place}",
            f"  ours:   {_shown(leak.text)}",
            f"  theirs: {_shown(leak.benchmark_text)}",
        ]
    return "\n".join(lines)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
