"""Engines files: the inference servers that decide, and the bundle of each; strict YAML to engines, or to findings.

::

    engines:
      - endpoint: triton-a:8001
        bundle: bundles/arch-router-2     # a relative path starts at the folder of this file
      - endpoint: triton-b:8001
        bundle: bundles/arch-router-2
        model: tensorrt_llm               # optional; triton.engine_model where it is left out
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archrouter.adapters.bundle.loader import PromptBundle, load_bundle
from archrouter.adapters.bundle.manifest import BundleError
from archrouter.adapters.yaml_document import DocumentReader, YamlDocument, read_document
from archrouter.adapters.yaml_fields import Table
from archrouter.adapters.yaml_file import read_text
from archrouter.domain.findings import Finding, Severity, has_errors, quoted

_KEYS = ("engines",)
_ENGINE_KEYS = ("endpoint", "bundle", "model")
_BEGIN = "'engines:' and a list"
_ENDPOINT = re.compile(r"(?P<host>[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """What the file says of one engine.

    Attributes:
        endpoint: HOST:PORT of Triton's gRPC.
        bundle: Directory of the bundle, as written.
        model: Its name in Triton; empty where it is left out.
    """

    endpoint: str
    bundle: str
    model: str


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine whose bundle is whole.

    Attributes:
        endpoint: HOST:PORT of Triton's gRPC.
        model: Its name in Triton.
        bundle: Prompt and tokenizer of its weights.
    """

    endpoint: str
    model: str
    bundle: PromptBundle

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.endpoint}/{self.model}"

    def is_same_as(self, other: "EngineSpec") -> bool:
        """Say whether two entries mean one engine: the same place, and equal facts, calibration included."""
        return self.name == other.name and self.bundle.profile == other.bundle.profile


@dataclass(frozen=True, slots=True)
class EngineList:
    """What one look at an engines file gave.

    Attributes:
        engines: In the order of the file; empty when a finding is an error.
        findings: Everything found, in the order of the file.
    """

    engines: tuple[EngineSpec, ...]
    findings: tuple[Finding, ...]


def load_engines(path: Path, default_model: str) -> EngineList:
    """Read an engines file and the bundles it names.

    Args:
        path: The file; of any size, kind and content.
        default_model: Triton model of entries that name none.

    Returns:
        The engines, none of which has been called yet; or why the file cannot be used.
    """
    text = read_text(path)
    if isinstance(text, Finding):
        return EngineList((), (text,))
    document = read_engines_document(text)
    if document.content is None:
        return EngineList((), document.findings)
    bundles: dict[str, PromptBundle] = {}
    found: list[Finding] = []
    for index, entry in enumerate(document.content):
        if entry.bundle in bundles:
            continue
        try:
            bundles[entry.bundle] = load_bundle(path.parent / entry.bundle)
        except (BundleError, OSError) as error:
            found.append(Finding(Severity.ERROR, f"engines[{index}].bundle", str(error)))
    findings = (*document.findings, *document.places.locate(found))
    if has_errors(findings):
        return EngineList((), findings)
    engines = (
        EngineSpec(entry.endpoint, entry.model or default_model, bundles[entry.bundle]) for entry in document.content
    )
    return EngineList(tuple(engines), findings)


def read_engines_document(text: str) -> YamlDocument[tuple[EngineEntry, ...]]:
    """Read the text of an engines file; no bundle is looked at.

    Args:
        text: The file; untrusted.

    Returns:
        The document; its places also locate what is wrong with a bundle.
    """
    return read_document(text, _KEYS, _read_engines, _check, _BEGIN)


def _read_engines(reader: DocumentReader, table: Table) -> tuple[EngineEntry, ...]:
    field = reader.fields.required(
        table, "engines", "list at least one engine, as in - {endpoint: HOST:PORT, bundle: DIR}"
    )
    items = reader.fields.items(field) if field else None
    reader.places.put("engines", None if items is None else field)
    tables = [reader.fields.table(item, _ENGINE_KEYS) for item in items or ()]
    readable = [engine_table for engine_table in tables if engine_table is not None]
    if len(readable) != len(tables):
        reader.places.put("engines", None)
    return tuple(_read_engine(reader, engine_table, f"engines[{i}]") for i, engine_table in enumerate(readable))


def _read_engine(reader: DocumentReader, table: Table, path: str) -> EngineEntry:
    reader.places.put(path, table.field)
    return EngineEntry(
        endpoint=reader.text(table, "endpoint", f"{path}.endpoint", "name HOST:PORT of Triton's gRPC"),
        bundle=reader.text(table, "bundle", f"{path}.bundle", "name the directory of the bundle it serves"),
        model=reader.optional_text(table, "model", f"{path}.model"),
    )


def _check(entries: tuple[EngineEntry, ...]) -> Iterator[Finding]:
    if not entries:
        yield Finding(Severity.ERROR, "engines", "is empty; list at least one engine")
    first_at: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(entries):
        path = f"engines[{index}]"
        if not _is_endpoint(entry.endpoint):
            yield Finding(Severity.ERROR, f"{path}.endpoint", f"{quoted(entry.endpoint)} is not HOST:PORT; write both")
        if not entry.bundle.strip():
            yield Finding(Severity.ERROR, f"{path}.bundle", "is empty; name the directory of the bundle")
        first = first_at.setdefault((entry.endpoint, entry.model), index)
        if first != index:
            message = f"{quoted(entry.endpoint)} is already engines[{first}] with the same model; remove one of them"
            yield Finding(Severity.ERROR, f"{path}.endpoint", message)


def _is_endpoint(text: str) -> bool:
    match = _ENDPOINT.fullmatch(text)
    return match is not None and 0 < int(match["port"]) <= _MAX_PORT
