"""The files of the seed corpus that are kept in the tree: the public benchmark and the cards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data import card
from data.agreement import Agreement, agreement, agreement_by_set, read_reading
from data.record_files import Wordings, folder_files
from data.records import Record

SECOND_READING = "second_reading"
CARD = "README.md"
PUBLIC_SPLITS = ("test", "dev")

_TEMPLATES = Path(__file__).with_name("corpus")


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


def corpus_files(splits: Sequence[Split], sources: Path, benchmark: Path) -> dict[Path, str]:
    """Write what is kept in the tree, as text by path: the public benchmark, and a card in each folder."""
    public = [split for split in splits if split.name in PUBLIC_SPLITS]
    files = {
        benchmark / split.name / name: text
        for split in public
        for name, text in folder_files(split.records, split.wordings).items()
    }
    public_tables = "\n\n".join(_split_section(split) for split in public)
    files[benchmark / CARD] = _filled("benchmark_card.template.md", splits=split_table(public), tables=public_tables)
    counts = card.count(all_records(splits))
    files[sources / CARD] = _filled(
        "corpus_card.template.md",
        splits=split_table(splits),
        reasons="\n".join(f"- **{split.name}**: {split.reason}." for split in splits),
        agreement=_agreement_section(sources / SECOND_READING),
        tables=card.as_markdown(counts, level=3).strip(),
    )
    return files


def all_records(splits: Iterable[Split]) -> tuple[Record, ...]:
    """Join the records of splits."""
    return tuple(record for split in splits for record in split.records)


def split_table(splits: Sequence[Split]) -> str:
    """Write the sizes of splits as a Markdown table, with a last row for all when there are several."""
    rows = [(split.name, split.records) for split in splits]
    if len(rows) > 1:
        rows.append(("all", all_records(splits)))
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
    counts = card.count(split.records)
    text = card.as_markdown(counts, leave_out=("turns by action", "conversations by source"), level=3)
    return f"## Split `{split.name}`\n\nChosen for: {split.reason}.\n\n{text}".strip()


def _agreement_section(folder: Path) -> str:
    if not folder.is_dir():
        return "There is no second reading yet."
    first, second = (read_reading(folder / f"{name}.tsv") for name in ("first", "second"))
    rows: Mapping[str, Agreement] = {"all": agreement(first, second), **agreement_by_set(first, second)}
    lines = [
        "A sample of turns, ten of each policy set, was labelled again from policies and messages alone: without the",
        "first labels, the conversations' ids and the names of the sets. Turns on which the readings differ lost their",
        "label. The figures are from before that; agreement by chance is computed within each policy set. **Read them",
        "as an upper bound**: other runs of the model that wrote the corpus did the second reading, not a person.",
        "",
        "| policy set | turns read twice | same label | Cohen's kappa |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {each.turn_count} | {each.agreed_count} ({each.observed:.1%}) | {each.kappa:.3f} |"
        for name, each in rows.items()
    ]
    lines += ["", "`python -m data agreement first.tsv second.tsv` lists the turns on which the readings differ."]
    return "\n".join(lines)


def _filled(template: str, **values: str) -> str:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text
