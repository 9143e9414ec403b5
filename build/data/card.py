"""Write the card of a folder of records: Markdown with its counts."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.program import make_parser, print_result
from data.record_files import read_records
from data.records import Record
from data.texts import words

EXAMPLES = ("out/train", "out/train --title 'Our routing data' --output out/train/README.md", "out/train --json")

WORD_LIMITS = (4, 9, 19, 49, 99)
"""Upper ends of the classes of message length, in words; one more class is open."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in a folder of records.

    Attributes:
        conversations: Records.
        labelled_turns: Turns with a label.
        unlabelled_turns: User's turns without.
        policy_sets: Different policy sets.
        policies: Different policies, by description.
        domains: Different domains.
        tables: Counts by title, then by key.
    """

    conversations: int
    labelled_turns: int
    unlabelled_turns: int
    policy_sets: int
    policies: int
    domains: int
    tables: Mapping[str, Mapping[str, int]]


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 0."""
    parser = make_parser("card", str(__doc__), EXAMPLES)
    parser.add_argument("records", type=Path, help="folder of records")
    parser.add_argument("--title", help="heading of the card (default: the folder's name)")
    parser.add_argument("--output", type=Path, help="file to write (default: print)")
    given = parser.parse_args(arguments)
    counts = count(read_records(given.records))
    text = f"# {given.title or given.records.resolve().name}\n\n{as_markdown(counts)}"
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")
    elif not given.json:
        print(text, end="")
    if given.json or given.output is not None:
        print_result(as_document(counts), f"{given.output}: {counts.conversations} conversations", as_json=given.json)
    return 0


def count(records: Iterable[Record]) -> Counts:
    """Count what is in records; tables are in the order of their keys, or from short to long."""
    items = list(records)
    labels = [(record, route) for record in items for _, route in record.labels]
    routes = {route.description: route for record in items for route in record.routes}
    user_texts = [text for record in items for text in record.user_texts]
    return Counts(
        conversations=len(items),
        labelled_turns=len(labels),
        unlabelled_turns=len(user_texts) - len(labels),
        policy_sets=len({record.policy_set for record in items}),
        policies=len(routes),
        domains=len({route.domain for route in routes.values()}),
        tables={
            "turns by kind of label": _count_kinds(labels),
            "turns by domain": _sorted(Counter(_domain(record, route) for record, route in labels)),
            "turns by action": _sorted(Counter(_action(record, route) for record, route in labels)),
            "conversations by user's turns": _by_number(Counter(len(record.user_texts) for record in items)),
            "user's messages by words": _count_lengths(user_texts),
            "conversations by routes of their policy set": _by_number(Counter(len(record.routes) for record in items)),
            "conversations by language": _sorted(Counter(record.provenance.language for record in items)),
            "conversations by source": _sorted(Counter(record.provenance.source for record in items)),
            "conversations by augmentation": _count_augmentations(items),
        },
    )


def as_document(counts: Counts) -> dict[str, object]:
    """Write the counts as what JSON can hold."""
    document: dict[str, object] = {
        name: getattr(counts, name)
        for name in ("conversations", "labelled_turns", "unlabelled_turns", "policy_sets", "policies", "domains")
    }
    return document | {title.replace(" ", "_").replace("'", ""): dict(table) for title, table in counts.tables.items()}


def as_markdown(counts: Counts, *, leave_out: Sequence[str] = (), level: int = 2) -> str:
    """Write the counts as Markdown: a sentence, then a heading and a table for each kind of count.

    Args:
        counts: The counts.
        leave_out: Titles of tables that are not written.
        level: Of the tables' headings, 1 is the highest.
    """
    sizes = (
        f"{counts.conversations:,} conversations, {counts.labelled_turns:,} labelled turns "
        f"({counts.unlabelled_turns:,} user's turns without a label), {counts.policies:,} policies in "
        f"{counts.domains:,} domains, {counts.policy_sets:,} policy sets."
    )
    parts = [sizes]
    for title, table in counts.tables.items():
        if title not in leave_out and table:
            parts.append(f"{'#' * level} {title[0].upper()}{title[1:]}\n\n{as_table(title, table)}")
    return "\n\n".join(parts) + "\n"


def as_table(title: str, table: Mapping[str, int]) -> str:
    """Write one table of counts, with shares, as Markdown."""
    counted, _, key = title.partition(" by ")
    total = sum(table.values()) if key != "augmentation" else 0
    rows = [
        f"| {name} | {number:,} | {number / total:.1%} |" if total else f"| {name} | {number:,} |"
        for name, number in table.items()
    ]
    head = (
        f"| {key} | {counted} | share |\n| --- | ---: | ---: |" if total else f"| {key} | {counted} |\n| --- | ---: |"
    )
    return "\n".join([head, *rows])


def _count_kinds(labels: Iterable[tuple[Record, str]]) -> dict[str, int]:
    kinds = Counter(_kind(record, route) for record, route in labels)
    return {kind: kinds[kind] for kind in ("action", "domain", "other") if kinds[kind]}


def _kind(record: Record, route_id: str) -> str:
    route = record.route(route_id)
    if route is None:
        return "other"
    return "domain" if route.covers_domain else "action"


def _domain(record: Record, route_id: str) -> str:
    route = record.route(route_id)
    return route.domain if route is not None else "(other)"


def _action(record: Record, route_id: str) -> str:
    route = record.route(route_id)
    if route is None:
        return "(other)"
    return f"{route.domain} / {route.action or '(whole domain)'}"


def _count_lengths(texts: Iterable[str]) -> dict[str, int]:
    lows = (0, *(limit + 1 for limit in WORD_LIMITS))
    names = [f"{low} to {high}" for low, high in zip(lows, WORD_LIMITS, strict=False)] + [f"{lows[-1]} and more"]
    classes = Counter(bisect_left(WORD_LIMITS, len(words(text))) for text in texts)
    return {name: classes[index] for index, name in enumerate(names)}


def _count_augmentations(records: Iterable[Record]) -> dict[str, int]:
    """Count records by each change that made them, without its detail; none where nothing was changed."""
    changes: Counter[str] = Counter()
    for record in records:
        names = {name.split(":")[0] for name in record.provenance.augmentations} or {"(none)"}
        changes.update(names)
    return {} if set(changes) == {"(none)"} else _sorted(changes)


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return {key: counter[key] for key in sorted(counter)}


def _by_number(counter: Counter[int]) -> dict[str, int]:
    return {str(number): counter[number] for number in sorted(counter)}
