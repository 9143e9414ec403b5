"""Make the splits of the seed corpus and their cards from the hand-written sources.

Written are the public benchmark (test and dev split) and the cards; the train split is made on demand. The splits are
by policy set, and no domain is in two of them. With ``--check`` nothing is written: it exits with 1 when what is in the
tree is not what the sources give.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data import card
from data.agreement import Agreement, agreement, agreement_by_set, read_reading
from data.errors import DataError
from data.program import make_parser, print_result
from data.record_files import Wordings, folder_files, write_records
from data.records import Record, check_structure
from data.source_files import read_source_wordings, read_sources

EXAMPLES = ("", "--train out/train", "--check", "--check --json")

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "build" / "data" / "corpus"
BENCHMARK = ROOT / "benchmarks" / "data"
SPLITS_FILE = "splits.toml"
SECOND_READING = "second_reading"
CARD = "README.md"
PUBLIC_SPLITS = ("test", "dev")
TRAIN_SPLIT = "train"

MIN_POLICIES = 250
MIN_DOMAINS = 60
MIN_LABELLED_TURNS = 3000


class CorpusError(DataError):
    """The corpus is not what it promises to be."""


class _Split(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sets: list[str] = Field(min_length=1)
    reason: str = Field(min_length=1)


class _Splits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    test: _Split
    dev: _Split
    train: _Split


@dataclass(frozen=True, slots=True)
class Split:
    """A part of the corpus.

    Attributes:
        name: ``test``, ``dev`` or ``train``.
        reason: Why these policy sets.
        records: In the order of policy sets, then of the sources.
        wordings: Other wordings of the policies.
    """

    name: str
    reason: str
    records: tuple[Record, ...]
    wordings: Wordings


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says.

    Args:
        arguments: After the command's name.

    Returns:
        0, or 1 when ``--check`` finds a difference.
    """
    parser = make_parser("corpus", str(__doc__), EXAMPLES)
    parser.add_argument("--sources", type=Path, default=SOURCES, help="default: the folder in this tree")
    parser.add_argument("--benchmark", type=Path, default=BENCHMARK, help="default: the folder in this tree")
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="write the train split to this folder as well")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder of the train split")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with what is there")
    given = parser.parse_args(arguments)
    splits = read_splits(given.sources)
    check_promises(splits)
    files = corpus_files(splits, given.sources, given.benchmark)
    stale = sorted(str(path) for path in _stale(files, given.benchmark))
    if not given.check:
        _write(files, given.benchmark)
        if given.train is not None:
            train = next(split for split in splits if split.name == TRAIN_SPLIT)
            write_records(given.train, train.records, train.wordings, overwrite=given.overwrite)
    document = {
        "splits": {split.name: card.as_document(card.count(split.records)) for split in splits},
        "changed_files": stale,
    }
    found = "differs from the sources" if given.check else "written anew"
    print_result(document, "\n".join([split_table(splits), *(f"{path} {found}" for path in stale)]), as_json=given.json)
    return 1 if given.check and stale else 0


def read_splits(sources: Path) -> tuple[Split, ...]:
    """Read the sources and divide them.

    Args:
        sources: Their folder.

    Returns:
        Test, dev and train.

    Raises:
        DataError: When a source is malformed, a policy set is in no split or in two, or splits share a domain.
    """
    records = read_sources(sources)
    wordings = read_source_wordings(sources, records)
    plan = _read_plan(sources / SPLITS_FILE)
    named = [name for split in (plan.test, plan.dev, plan.train) for name in split.sets]
    if sorted(named) != sorted(records):
        wrong = sorted(set(named) ^ set(records)) or sorted(name for name in named if named.count(name) > 1)
        msg = f"{sources / SPLITS_FILE}: {wrong[0]!r} must be the name of a policy set in exactly one split"
        raise CorpusError(msg)
    return tuple(
        Split(
            name=name,
            reason=split.reason,
            records=tuple(record for policy_set in sorted(split.sets) for record in records[policy_set]),
            wordings={policy_set: wordings[policy_set] for policy_set in sorted(split.sets)},
        )
        for name, split in (("test", plan.test), ("dev", plan.dev), ("train", plan.train))
    )


def check_promises(splits: Sequence[Split]) -> None:
    """Hold the corpus to what its card says of it.

    Args:
        splits: All of it.

    Raises:
        DataError: When a record is malformed, splits share a domain, or the corpus is too small.
    """
    owners: dict[str, str] = {}
    for split in splits:
        for record in split.records:
            check_structure(record)
            for route in record.routes:
                if owners.setdefault(route.domain, split.name) != split.name:
                    msg = f"domain {route.domain!r} is in the splits {owners[route.domain]} and {split.name}; rename it"
                    raise CorpusError(msg)
    counts = card.count(_all_records(splits))
    for what, number, least in (
        ("policies", counts.policies, MIN_POLICIES),
        ("domains", counts.domains, MIN_DOMAINS),
        ("labelled turns", counts.labelled_turns, MIN_LABELLED_TURNS),
    ):
        if number < least:
            msg = f"the corpus has {number} {what}; it promises at least {least}"
            raise CorpusError(msg)


def corpus_files(splits: Sequence[Split], sources: Path, benchmark: Path) -> dict[Path, str]:
    """Write what is kept in the tree, as text.

    Args:
        splits: The corpus.
        sources: Folder of the sources; its card goes there.
        benchmark: Folder of the public benchmark.

    Returns:
        Content by path.
    """
    public = [split for split in splits if split.name in PUBLIC_SPLITS]
    files = {
        benchmark / split.name / name: text
        for split in public
        for name, text in folder_files(split.records, split.wordings).items()
    }
    public_tables = "\n\n".join(_split_section(split) for split in public)
    files[benchmark / CARD] = _filled("benchmark_card.template.md", splits=split_table(public), tables=public_tables)
    counts = card.count(_all_records(splits))
    files[sources / CARD] = _filled(
        "corpus_card.template.md",
        splits=split_table(splits),
        reasons="\n".join(f"- **{split.name}**: {split.reason}." for split in splits),
        agreement=_agreement_section(sources / SECOND_READING),
        tables=card.as_markdown(counts).strip(),
    )
    return files


def split_table(splits: Sequence[Split]) -> str:
    """Write the sizes of splits.

    Args:
        splits: Which.

    Returns:
        A Markdown table, with a last row for all when there are several.
    """
    rows = [(split.name, split.records) for split in splits]
    if len(rows) > 1:
        rows.append(("all", _all_records(splits)))
    lines = [
        "| split | policy sets | domains | policies | conversations | labelled turns | of these `other` |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, records in rows:
        counts = card.count(records)
        sets = sorted({record.policy_set for record in records})
        other = counts.tables["turns by kind of label"].get("other", 0)
        shown = ", ".join(sets) if name != "all" else str(len(sets))
        lines.append(
            f"| {name} | {shown} | {counts.domains} | {counts.policies} | {counts.conversations:,} "
            f"| {counts.labelled_turns:,} | {other:,} ({other / counts.labelled_turns:.0%}) |"
        )
    return "\n".join(lines)


def _split_section(split: Split) -> str:
    text = card.as_markdown(card.count(split.records), leave_out=("turns by action", "conversations by source"))
    return f"## Split `{split.name}`\n\nChosen for: {split.reason}.\n\n{text.replace('## ', '### ')}".strip()


def _agreement_section(folder: Path) -> str:
    if not folder.is_dir():
        return "Not measured yet."
    first, second = (read_reading(folder / f"{name}.tsv") for name in ("first", "second"))
    rows: Mapping[str, Agreement] = {"all": agreement(first, second), **agreement_by_set(first, second)}
    lines = ["| policy set | turns read twice | same label | Cohen's kappa |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {each.turn_count} | {each.agreed_count} ({each.observed:.1%}) | {each.kappa:.3f} |"
        for name, each in rows.items()
    ]
    return "\n".join(lines)


def _filled(template: str, **values: str) -> str:
    text = (SOURCES / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _read_plan(path: Path) -> _Splits:
    try:
        return _Splits.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        msg = f"{path}: is no plan of the splits: {error}"
        raise CorpusError(msg) from error


def _stale(files: Mapping[Path, str], benchmark: Path) -> Iterable[Path]:
    """Find files that are missing, have other content, or are there without a source."""
    for path, text in files.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path
    for split in PUBLIC_SPLITS:
        yield from (path for path in (benchmark / split).rglob("*") if path.is_file() and path not in files)


def _write(files: Mapping[Path, str], benchmark: Path) -> None:
    for path in _stale(files, benchmark):
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()


def _all_records(splits: Iterable[Split]) -> tuple[Record, ...]:
    return tuple(record for split in splits for record in split.records)
