"""Measure how far two readers of the same turns agree: Cohen's kappa.

Each reader's labels are a TSV file with the columns ``conversation`` (``<policy_set>/<id>``), ``turn`` (index of the
message) and ``route`` (an id, ``other``, or empty where more than one answer can be defended). Agreement by chance is
computed within each policy set, since a reader only ever chooses among the routes of one.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from data.program import make_parser, print_result

EXAMPLES = ("first.tsv second.tsv", "first.tsv second.tsv --json")
COLUMNS = ("conversation", "turn", "route")

Key = tuple[str, int]
Reading = Mapping[Key, str]


class ReadingError(DataError):
    """A file of labels is malformed, or two files are not about the same turns."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two readers agree.

    Attributes:
        turn_count: Turns that both read.
        agreed_count: Turns with the same label.
        chance: Share that would agree by chance, within policy sets, from 0 to 1.
    """

    turn_count: int
    agreed_count: int
    chance: float

    @property
    def observed(self) -> float:
        """Share of turns with the same label."""
        return self.agreed_count / self.turn_count

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance, 1 when perfect. Where chance alone would agree always, 1."""
        return 1.0 if self.chance == 1 else (self.observed - self.chance) / (1 - self.chance)


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 0."""
    parser = make_parser("agreement", str(__doc__), EXAMPLES)
    parser.add_argument("first", type=Path, help="labels of the first reader")
    parser.add_argument("second", type=Path, help="labels of the second reader")
    given = parser.parse_args(arguments)
    first, second = read_reading(given.first), read_reading(given.second)
    by_set = agreement_by_set(first, second)
    differences = [key for key in first if first[key] != second[key]]
    document = {
        "overall": _figures(agreement(first, second)),
        "policy_sets": {name: _figures(each) for name, each in by_set.items()},
        "disagreements": [
            {"conversation": key[0], "turn": key[1], "first": first[key], "second": second[key]} for key in differences
        ],
    }
    lines = [_line(name, each) for name, each in {"all": agreement(first, second), **by_set}.items()]
    lines += [f"  {key[0]} turn {key[1]}: {first[key] or '-'} or {second[key] or '-'}" for key in differences]
    print_result(document, "\n".join(lines), as_json=given.json)
    return 0


def agreement(first: Reading, second: Reading) -> Agreement:
    """Compare two readings, each a label for each of the same turns. O(turns).

    Raises:
        ReadingError: When the readings are not of the same turns, or empty.
    """
    if first.keys() != second.keys() or not first:
        only = sorted(first.keys() ^ second.keys())
        msg = (
            f"the readers did not read the same turns, e.g. {only[0] if only else 'there is none'}; give both the same"
        )
        raise ReadingError(msg)
    expected = 0.0
    for name in {_policy_set(key) for key in first}:
        keys = [key for key in first if _policy_set(key) == name]
        counts, others = Counter(first[key] for key in keys), Counter(second[key] for key in keys)
        expected += sum(counts[label] * others[label] for label in counts) / len(keys)
    agreed = sum(first[key] == second[key] for key in first)
    return Agreement(turn_count=len(first), agreed_count=agreed, chance=expected / len(first))


def agreement_by_set(first: Reading, second: Reading) -> dict[str, Agreement]:
    """Compare two readings policy set by policy set, in the order of names."""
    names = sorted({_policy_set(key) for key in first})
    return {
        name: agreement(
            {key: label for key, label in first.items() if _policy_set(key) == name},
            {key: label for key, label in second.items() if _policy_set(key) == name},
        )
        for name in names
    }


def read_reading(path: Path) -> dict[Key, str]:
    """Read a reader's labels by conversation and turn from a TSV file, in whatever columns they stand.

    Raises:
        ReadingError: For the first thing that is wrong.
    """
    labels: dict[Key, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
            if missing:
                msg = f"{path}: has no column {missing[0]!r}; the first line must name {', '.join(COLUMNS)}"
                raise ReadingError(msg)
            for row in rows:
                key = _key(path, rows.line_num, row)
                if key in labels:
                    msg = f"{path}:{rows.line_num}: {key[0]} turn {key[1]} is there twice"
                    raise ReadingError(msg)
                labels[key] = (row["route"] or "").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as UTF-8 text: {error}"
        raise ReadingError(msg) from error
    return labels


def _key(path: Path, line: int, row: Mapping[str, str | None]) -> Key:
    conversation, turn = (row["conversation"] or "").strip(), (row["turn"] or "").strip()
    if "/" not in conversation or not turn.isdecimal():
        msg = f"{path}:{line}: {conversation!r}, turn {turn!r} is no place; write <policy_set>/<id> and a number"
        raise ReadingError(msg)
    return conversation, int(turn)


def _policy_set(key: Key) -> str:
    return key[0].split("/")[0]


def _figures(each: Agreement) -> dict[str, float | int]:
    return {
        "turns": each.turn_count,
        "agreed": each.agreed_count,
        "observed": round(each.observed, 4),
        "kappa": round(each.kappa, 4),
    }


def _line(name: str, each: Agreement) -> str:
    return f"{name}: kappa {each.kappa:.3f}, {each.agreed_count} of {each.turn_count} turns agree ({each.observed:.1%})"
