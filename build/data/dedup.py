"""Leave out conversations that are there already, exactly or nearly."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from data.program import make_parser, print_result
from data.record_files import read_records, read_wordings, write_records
from data.records import Record
from data.similarity import NEAR_THRESHOLD, similar_pairs
from data.texts import normalised

EXAMPLES = ("out/drafted out/clean", "out/drafted out/clean --near 0.9 --across-sets", "out/drafted --json")

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A conversation that is left out.

    Attributes:
        id: The record.
        kept_id: The earlier record that stays.
        similarity: Of what the users wrote, 1 for the same text.
        same_labels: Whether both have the same labels; if not, one of them is wrong or the text undecidable.
    """

    id: str
    kept_id: str
    similarity: float
    same_labels: bool


@dataclass(frozen=True, slots=True)
class Deduplication:
    """What is left, and what is not.

    Attributes:
        kept: In their order.
        duplicates: In their order.
    """

    kept: tuple[Record, ...]
    duplicates: tuple[Duplicate, ...]


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 0."""
    parser = make_parser("dedup", str(__doc__), EXAMPLES)
    parser.add_argument("records", type=Path, help="folder of records")
    parser.add_argument("output", type=Path, nargs="?", help="folder to write; left out: only list the duplicates")
    parser.add_argument(
        "--near", type=float, default=NEAR_THRESHOLD, help="similarity of near duplicates, 1 = exact only (%(default)s)"
    )
    parser.add_argument("--across-sets", action="store_true", help="compare conversations of different policy sets too")
    parser.add_argument("--overwrite", action="store_true", help="replace the output folder")
    given = parser.parse_args(arguments)
    records = read_records(given.records)
    found = deduplicate(records, given.near, across_sets=given.across_sets)
    if given.output is not None:
        wordings = read_wordings(given.records, found.kept)
        write_records(given.output, found.kept, wordings, overwrite=given.overwrite)
    document = {"kept": len(found.kept), "duplicates": [asdict(each) for each in found.duplicates]}
    print_result(document, _as_text(found), as_json=given.json)
    return 0


def deduplicate(records: Sequence[Record], threshold: float, *, across_sets: bool = False) -> Deduplication:
    """Keep the first of conversations whose users wrote the same, or nearly.

    Args:
        records: Any records.
        threshold: Similarity from which texts are nearly the same, in (0, 1].
        across_sets: Whether conversations of different policy sets are compared too.

    Returns:
        What stays and what does not. O(n squared) over the conversations compared.
    """
    duplicates: dict[str, Duplicate] = {}
    ordered = sorted(records, key=lambda record: "" if across_sets else record.policy_set)
    for _, group in groupby(ordered, key=lambda record: "" if across_sets else record.policy_set):
        duplicates |= {each.id: each for each in _duplicates(list(group), threshold)}
    kept = tuple(record for record in records if record.id not in duplicates)
    return Deduplication(kept, tuple(duplicates[record.id] for record in records if record.id in duplicates))


def _duplicates(records: Sequence[Record], threshold: float) -> list[Duplicate]:
    texts = [_text(record) for record in records]
    found: dict[int, Duplicate] = {}
    for pair in similar_pairs(texts, texts, threshold):
        first, later = pair.choice, pair.query
        if first < later and later not in found and first not in found:
            one, other = records[first], records[later]
            labels = [route for _, route in one.labels] == [route for _, route in other.labels]
            found[later] = Duplicate(other.id, one.id, pair.similarity, same_labels=labels)
    return list(found.values())


def _text(record: Record) -> str:
    """Join what the user wrote; a message of signs only, such as a thumb, stands for itself."""
    return "\n".join(normalised(text) or text.strip() for text in record.user_texts)


def _as_text(found: Deduplication) -> str:
    lines = [f"{len(found.kept)} records kept, {len(found.duplicates)} duplicates left out"]
    lines += [
        f"  {each.id} is {'the same as' if each.similarity == 1 else f'{each.similarity:.0%} like'} {each.kept_id}"
        f"{'' if each.same_labels else ' BUT HAS OTHER LABELS'}"
        for each in found.duplicates[:_SHOWN]
    ]
    if len(found.duplicates) > _SHOWN:
        lines.append(f"  and {len(found.duplicates) - _SHOWN} more; --json lists all")
    return "\n".join(lines)
