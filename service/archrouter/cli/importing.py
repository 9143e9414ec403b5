"""``archrouter import``."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from archrouter.cli.connection import EXISTING_FILE
from archrouter.cli.console import note, print_json, print_notes_table
from archrouter.cli.exits import FailedError, UnusableError
from archrouter.cli.policy_paths import SUITE_ENDING
from archrouter.domain.findings import has_errors
from archrouter.policy_files.policies import load_policy_set
from archrouter.workbench.foreign.document import read_foreign
from archrouter.workbench.foreign.draft import Draft, draft
from archrouter.workbench.foreign.facts import ForeignError, Note
from archrouter.workbench.foreign.formats import FORMATS, detect
from archrouter.workbench.foreign.writer import policy_file, suite_file

EPILOG = """\b
Examples:
  archrouter import plano_config.yaml --output policies/gateway.yaml
  archrouter import router.json --output policies/chat.yaml --suite policies/chat_test.yaml
  archrouter import routes.yaml --model openai/gpt-4o-mini --json
"""
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_AUTO = "auto"
_MAX_ID_CHARACTERS = 64
_INDEX = re.compile(r"\[\d+\]")


@click.command("import", short_help="Make a policy file of another router's configuration.", epilog=EPILOG)
@click.argument("file", type=EXISTING_FILE, metavar="FILE")
@click.option(
    "--format", "format_name", type=click.Choice([_AUTO, *FORMATS]), default=_AUTO, show_default=True,
    help="What the file is; auto finds it by its keys.",
)  # fmt: skip
@click.option("--policy-set", "policy_set_id", metavar="ID", help="Name of the policy set; otherwise the file's name.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Model where the file names none; repeatable.")
@click.option("--output", type=_NEW_FILE, help="Policy file to write; otherwise standard output.")
@click.option("--suite", "suite_path", type=_NEW_FILE, help="Suite to write of held-out utterances: X_test.yaml.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def import_(
    file: Path,
    *,
    format_name: str,
    policy_set_id: str | None,
    models: Sequence[str],
    output: Path | None,
    suite_path: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make a policy file of another router's configuration, and report what has no counterpart.

    Reads archgw and Plano, LiteLLM's router.json, semantic-router's routes and vllm semantic-router's decisions.
    Nothing that the file names is loaded or called, and no value that was not understood is shown.
    """
    _check_paths(output, suite_path, force=force)
    if not all(model.strip() for model in models):
        msg = "a model's name is empty; name the model that callers should use"
        raise click.BadParameter(msg, param_hint="--model")
    name, drafted, notes = _import(file, format_name, policy_set_id, models, holds_out=suite_path is not None)
    comments = [f"Imported by archrouter import from {name}; its report names what has no counterpart."]
    text = policy_file(drafted.policy_set, comments)
    findings = load_policy_set(text)[1]
    if has_errors(findings):
        listed = "; ".join(f"{finding.field_path}: {finding.message}" for finding in findings)
        msg = f"what was read makes no valid policy set: {listed}"
        raise FailedError(msg)
    if output:
        _write(output, text)
    if suite_path and drafted.cases:
        _write(suite_path, suite_file(drafted.suite, ["Utterances that were held out of the examples."]))
    if as_json:
        print_json(_record(name, drafted, notes, None if output else text))
        return
    if not output:
        click.echo(text, nl=False)
    print_notes_table(_table(notes))
    _summarise(name, drafted, suite_path, notes)


def _check_paths(output: Path | None, suite_path: Path | None, *, force: bool) -> None:
    if suite_path and (not suite_path.stem.endswith(SUITE_ENDING) or suite_path.suffix not in {".yaml", ".yml"}):
        msg = f"{suite_path} does not end with {SUITE_ENDING}.yaml, by which suites are found; name it so"
        raise click.BadParameter(msg, param_hint="--suite")
    for path in filter(None, (output, suite_path)):
        if path.exists() and not force:
            msg = f"{path} exists; choose another name, or replace it with --force"
            raise UnusableError(msg)


def _import(
    file: Path, format_name: str, policy_set_id: str | None, models: Sequence[str], *, holds_out: bool
) -> tuple[str, Draft, list[Note]]:
    try:
        facts = read_foreign(file)
        name = detect(facts) if format_name == _AUTO else format_name
        foreign = FORMATS[name].read(facts)
        drafted = draft(foreign, policy_set_id or _id_of(file), models, facts.notes, holds_out=holds_out)
    except ForeignError as error:
        msg = f"{file}: {error}"
        raise UnusableError(msg) from error
    return name, drafted, facts.notes


def _id_of(file: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:_MAX_ID_CHARACTERS] or "imported"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}; choose another place"
        raise UnusableError(msg) from error


def _table(notes: Sequence[Note]) -> Table:
    """Show notes that say the same of several places once."""
    table = Table("what", "where", "why", box=None, pad_edge=False)
    groups = Counter((note.kind, _INDEX.sub("[]", note.place), note.text) for note in notes)
    for (kind, place, text), count in groups.items():
        table.add_row(kind.value, place if count == 1 else f"{place} ({count})", text)
    return table


def _summarise(name: str, drafted: Draft, suite_path: Path | None, notes: Sequence[Note]) -> None:
    counts = Counter(one.kind.value for one in notes)
    listed = ", ".join(f"{count} facts {kind}" for kind, count in counts.items()) or "nothing left out"
    note(f"{name}: {len(drafted.policy_set.routes)} routes, {len(drafted.cases)} cases; {listed}")
    if suite_path and not drafted.cases:
        note(f"{suite_path} was not written: too few utterances to hold some out; write its cases yourself")


def _record(name: str, drafted: Draft, notes: Sequence[Note], text: str | None) -> dict[str, object]:
    record: dict[str, object] = {
        "format": name,
        "policy_set": drafted.policy_set.id,
        "revision": drafted.policy_set.revision,
        "route_count": len(drafted.policy_set.routes),
        "case_count": len(drafted.cases),
        "notes": [{"kind": one.kind.value, "place": one.place, "text": one.text} for one in notes],
    }
    return record if text is None else record | {"policy_file": text}
