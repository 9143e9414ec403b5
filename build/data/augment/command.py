"""Make clean conversations hard: irrelevant turns, changed policy sets, mixed scenarios, noise. Needs no model.

The same records, configuration and seed give the same bytes. Every record written says which changes made it
(``augmentations``, in their order), from which records (``sources``) and with which seed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.augment.compose import Material, augment, count_by_change
from data.augment.phrases import load_phrases, load_wordings
from data.augment.pool import Pool
from data.augment.settings import DEFAULT_FILE, Settings, read_settings
from data.program import make_parser, print_result, tracked
from data.record_files import by_description, read_records, read_wordings, write_records
from data.records import UNKNOWN_LANGUAGE, Record

EXAMPLES = (
    "out/train out/train-hard",
    "out/train out/train-hard --seed 7 --copies 5 --overwrite",
    "out/ours out/ours-hard --foreign out/train --config ours.toml --json",
)


_UNMIXED = (
    "nothing of other policy sets was put into {sets}: [overlap] in {config} does not name them; say there what they "
    "overlap with, or that they are apart"
)


def main(arguments: Sequence[str]) -> int:
    """Read the command line and do what it says; the exit status is 0."""
    parser = make_parser("augment", str(__doc__), EXAMPLES)
    parser.add_argument("records", type=Path, help="folder of clean records")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument(
        "--foreign", type=Path, help="further records that foreign routes and off-topic requests are drawn from"
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, help="TOML file (default: default.toml here)")
    parser.add_argument("--seed", type=int, help="default: the configuration's")
    parser.add_argument("--copies", type=int, help="changed versions of each record (default: the configuration's)")
    parser.add_argument("--language", help="of records that do not say theirs, e.g. en; some changes need it")
    parser.add_argument("--overwrite", action="store_true", help="replace the output folder")
    given = parser.parse_args(arguments)
    changes = {"seed": given.seed, "copies": given.copies}
    settings = read_settings(given.config, {key: value for key, value in changes.items() if value is not None})
    records = [_spoken(record, given.language) for record in read_records(given.records)]
    foreign = read_records(given.foreign) if given.foreign is not None else ()
    unmixed = sorted({record.policy_set for record in records if not settings.overlap.is_known(record.policy_set)})
    material = make_material(
        (*records, *foreign), by_description(records, read_wordings(given.records, records)), settings
    )
    made = list(augment(tracked(records, "augmenting", total=len(records)), settings, material))
    write_records(given.output, made, overwrite=given.overwrite)
    document = {
        "records": len(records),
        "written": len(made),
        "labelled_turns": sum(len(record.labels) for record in made),
        "changes": count_by_change(made),
        "unmixed_policy_sets": unmixed,
    }
    lines = [f"{len(records)} records became {len(made)}, with {document['labelled_turns']} labelled turns"]
    lines += [f"  {name}: {number}" for name, number in count_by_change(made).items()]
    lines += [_UNMIXED.format(sets=", ".join(unmixed), config=given.config)] if unmixed else []
    print_result(document, "\n".join(lines), as_json=given.json)
    return 0


def make_material(records: Sequence[Record], alternatives: dict[str, tuple[str, ...]], settings: Settings) -> Material:
    """Gather what the changes draw on; ``alternatives`` are given other wordings, by description."""
    return Material(
        pool=Pool(records, settings.overlap),
        phrases=load_phrases(),
        wordings=load_wordings(),
        alternatives=alternatives,
        amounts=settings.amount,
        overlap=settings.overlap,
    )


def _spoken(record: Record, language: str | None) -> Record:
    if language is None or record.provenance.language != UNKNOWN_LANGUAGE:
        return record
    return replace(record, provenance=replace(record.provenance, language=language))
