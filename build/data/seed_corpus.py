"""Make the splits of the seed corpus and their cards from its sources.

Written are the public benchmark (test and dev split) and the cards; the train split is made on demand. The splits are
by policy set, and no domain is in two of them. With ``--check`` nothing is written: it exits with 1 when what is in the
tree is not what the sources give.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data import card
from data.corpus_cards import PUBLIC_SPLITS, Split, all_records, corpus_files, split_table
from data.errors import DataError
from data.program import make_parser, print_result
from data.record_files import write_records
from data.records import check_structure
from data.source_files import read_source_wordings, read_sources

EXAMPLES = ("", "--train out/train", "--check", "--check --json")

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "build" / "data" / "corpus"
BENCHMARK = ROOT / "benchmarks" / "data"
SPLITS_FILE = "splits.toml"
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


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 1 when ``--check`` finds a difference, else 0."""
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
    found = "differs from the sources" if given.check else "written again"
    print_result(document, "\n".join([split_table(splits), *(f"{path} {found}" for path in stale)]), as_json=given.json)
    return 1 if given.check and stale else 0


def read_splits(sources: Path) -> tuple[Split, ...]:
    """Read the sources and divide them into test, dev and train.

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
    """Hold the whole corpus to what its card says of it.

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
    counts = card.count(all_records(splits))
    for what, number, least in (
        ("policies", counts.policies, MIN_POLICIES),
        ("domains", counts.domains, MIN_DOMAINS),
        ("labelled turns", counts.labelled_turns, MIN_LABELLED_TURNS),
    ):
        if number < least:
            msg = f"the corpus has {number} {what}; it promises at least {least}"
            raise CorpusError(msg)


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
