"""Folders of records on disk.

A folder of records is a benchmark folder: ``<setting>.jsonl`` and ``policies/<policy_set>.json``. The benchmark's own
reader checks it, so whatever is written here runs under ``archrouter eval``. That reader lets further fields be; those
that a record adds are the members of `Provenance`. Beside them may be ``wordings/<policy_set>.json``: other wordings of
the descriptions, ``{"policy_set": name, "wordings": {route: [text, ...]}}``.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.evaluation.dataset import DatasetError, LabelledConversation, read_dataset
from archrouter.strict_json import Fields, InvalidDataError, parse_object
from data.folders import replaced_folder
from data.records import UNKNOWN_LANGUAGE, Provenance, Record, RecordError, Turn, check_structure

POLICIES_FOLDER = "policies"
WORDINGS_FOLDER = "wordings"

_KNOWN = {"id", "setting", "granularity", "policy_set", "messages", "labels"} | {
    field.name for field in dataclasses.fields(Provenance)
}

Wordings = Mapping[str, Mapping[str, Sequence[str]]]
"""Other descriptions of the same meaning, by policy set, then by route."""


def read_records(directory: Path, settings: frozenset[str] = frozenset()) -> tuple[Record, ...]:
    """Read a folder of records, or any benchmark folder, in the order of the files' names, then of their lines.

    With ``settings``, only these are read. O(bytes).

    Raises:
        DatasetError: For the first thing that is wrong.
    """
    dataset = read_dataset(directory, settings)
    provenances: dict[str, Provenance] = {}
    for setting in {conversation.setting for conversation in dataset.conversations}:
        provenances |= _read_provenances(directory / f"{setting}.jsonl")
    return tuple(
        _record(conversation, dataset.policy_sets[conversation.policy_set], provenances[conversation.id])
        for conversation in dataset.conversations
    )


def read_wordings(directory: Path, records: Iterable[Record]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Read other descriptions of the same meaning, by policy set, then by route; empty where there are none.

    Raises:
        DatasetError: When a file is malformed, or words a route that the policy set does not have.
    """
    wordings: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, routes in {record.policy_set: record.routes for record in records}.items():
        path = directory / WORDINGS_FOLDER / f"{name}.json"
        if not path.is_file():
            continue
        try:
            wordings[name] = _wordings_of(parse_object(path.read_text(encoding="utf-8")), routes)
        except InvalidDataError as error:
            msg = f"{path}: {error}"
            raise DatasetError(msg) from error
    return wordings


def by_description(records: Iterable[Record], wordings: Wordings) -> dict[str, tuple[str, ...]]:
    """Order other wordings by the description they may replace."""
    routes = {record.policy_set: record.routes for record in records}
    return {
        route.description: tuple(wordings[name][route.id])
        for name in wordings
        for route in routes[name]
        if route.id in wordings[name]
    }


def write_records(
    directory: Path, records: Sequence[Record], wordings: Wordings | None = None, *, overwrite: bool = False
) -> None:
    """Write a folder of records: whole and readable by the benchmark's reader, or not at all.

    Args:
        directory: The folder.
        records: At least one. Records of one policy set name must have equal routes.
        wordings: Other wordings, of these records' policy sets.
        overwrite: Whether a folder that is there already is replaced.

    Raises:
        RecordError: When a record breaks a rule of the format.
        FolderError: When the folder exists and may not be replaced.
    """
    for record in records:
        check_structure(record)
    with replaced_folder(directory, overwrite=overwrite) as scratch:
        for name, text in folder_files(records, wordings).items():
            path = scratch / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        try:
            read_dataset(scratch)
        except DatasetError as error:
            raise RecordError(str(error).replace(f"{scratch}/", "")) from error


def folder_files(records: Iterable[Record], wordings: Wordings | None = None) -> dict[str, str]:
    """Write records as text.

    Args:
        records: Records of one policy set name must have equal routes.
        wordings: Other wordings, of these records' policy sets.

    Returns:
        Path inside the folder to content; equal records give equal bytes.

    Raises:
        RecordError: When a policy set's name stands for different routes.
    """
    lines: dict[str, list[str]] = {}
    policy_sets: dict[str, tuple[RoutePolicy, ...]] = {}
    for record in records:
        lines.setdefault(record.setting, []).append(_json_line(record))
        if policy_sets.setdefault(record.policy_set, record.routes) != record.routes:
            msg = f"{record.id}: policy set {record.policy_set!r} has other routes here than in an earlier record"
            raise RecordError(msg)
    files = {f"{setting}.jsonl": "".join(texts) for setting, texts in sorted(lines.items())}
    files |= {
        f"{POLICIES_FOLDER}/{name}.json": policy_set_json(name, routes) for name, routes in sorted(policy_sets.items())
    }
    for name, by_route in sorted((wordings or {}).items()):
        document = {"policy_set": name, "wordings": {route: list(texts) for route, texts in by_route.items()}}
        files[f"{WORDINGS_FOLDER}/{name}.json"] = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    return files


def _wordings_of(document: Fields, routes: Iterable[RoutePolicy]) -> dict[str, tuple[str, ...]]:
    given = document.values.get("wordings")
    known = {route.id for route in routes}
    if not isinstance(given, dict) or not given.keys() <= known:
        raise InvalidDataError(path="wordings", problem=f"must give a list of texts for some of {sorted(known)}")
    fields = Fields(given, "wordings")
    return {route_id: _texts(fields, route_id) for route_id in given}


def _record(conversation: LabelledConversation, policy_set: PolicySet, provenance: Provenance) -> Record:
    labels = {label.turn: label.route for label in conversation.labels}
    return Record(
        id=conversation.id,
        setting=conversation.setting,
        granularity=conversation.granularity,
        policy_set=conversation.policy_set,
        routes=policy_set.routes,
        turns=tuple(
            Turn(message.role, message.content, labels.get(index))
            for index, message in enumerate(conversation.messages)
        ),
        provenance=provenance,
    )


def _read_provenances(path: Path) -> dict[str, Provenance]:
    provenances: dict[str, Provenance] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                fields = parse_object(line)
                provenances[fields.text("id")] = _provenance(fields)
            except InvalidDataError as error:
                msg = f"{path}:{number}: {error}"
                raise DatasetError(msg) from error
    return provenances


def _provenance(fields: Fields) -> Provenance:
    """Read what a benchmark of somebody else may lack."""
    return Provenance(
        source=_text_or(fields, "source", "unknown"),
        license=_text_or(fields, "license", "unknown"),
        origin=_text_or(fields, "origin", "unknown"),
        language=_text_or(fields, "language", UNKNOWN_LANGUAGE),
        augmentations=_texts(fields, "augmentations"),
        seed=fields.integer("seed") if fields.values.get("seed") is not None else None,
        sources=_texts(fields, "sources"),
        further_json=json.dumps({name: fields.values[name] for name in sorted(fields.values.keys() - _KNOWN)}),
    )


def _text_or(fields: Fields, name: str, default: str) -> str:
    return fields.text(name) if name in fields.values else default


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    values = fields.values.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidDataError(path=name, problem="must be a list of texts")
    return tuple(values)


def _json_line(record: Record) -> str:
    provenance = asdict(record.provenance)
    further = json.loads(provenance.pop("further_json"))
    document = {
        "id": record.id,
        "setting": record.setting,
        "source": provenance.pop("source"),
        "license": provenance.pop("license"),
        "origin": provenance.pop("origin"),
        "granularity": record.granularity.value,
        "policy_set": record.policy_set,
        "messages": [{"role": turn.role.value, "content": turn.text} for turn in record.turns],
        "labels": [{"turn": index, "route": route} for index, route in record.labels],
        **provenance,
        **further,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def policy_set_json(name: str, routes: Iterable[RoutePolicy]) -> str:
    """Write a policy set in the format of a benchmark folder.

    A route without a domain, which a flat list of routes may have, is a domain of its own.
    """
    written = [
        {"name": route.id, "domain": route.domain or route.id, "action": route.action, "description": route.description}
        for route in routes
    ]
    return json.dumps({"policy_set": name, "routes": written}, ensure_ascii=False, indent=1) + "\n"
