"""Endpoints files: where the models that decide are served, and the bundle of each; strict YAML, or findings.

::

    endpoints:
      - endpoint: triton-a:8001
        bundle: bundles/arch-router-2     # a relative path starts at the folder of this file
      - endpoint: triton-b:8001
        bundle: bundles/arch-router-2
        model: tensorrt_llm               # optional; triton.engine_model where it is left out
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archrouter.config import split_address
from archrouter.domain.findings import Finding, Severity, has_errors, quoted
from archrouter.inference.bundle import Bundle
from archrouter.inference.endpoint import EndpointList, EndpointSpec
from archrouter.strict_yaml.document import DocumentReader, YamlDocument, read_document
from archrouter.strict_yaml.fields import Table
from archrouter.strict_yaml.nodes import read_text

_KEYS = ("endpoints",)
_ENDPOINT_KEYS = ("endpoint", "bundle", "model")
_BEGIN = "'endpoints:' and a list"


@dataclass(frozen=True, slots=True)
class EndpointEntry:
    """What the file says of one endpoint.

    Attributes:
        endpoint: HOST:PORT of Triton's gRPC.
        bundle: Directory of the bundle, as written.
        model: Its name in Triton; empty where it is left out.
    """

    endpoint: str
    bundle: str
    model: str


def load_endpoints(path: Path, default_model: str, load_bundle: Callable[[Path], Bundle]) -> EndpointList:
    """Read an endpoints file and the bundles it names.

    Args:
        path: The file; of any size, kind and content.
        default_model: Triton model of entries that name none.
        load_bundle: Reads a bundle; raises ValueError or OSError for one that cannot be used.

    Returns:
        The endpoints, none of which has been called yet; or why the file cannot be used.
    """
    text = read_text(path)
    if isinstance(text, Finding):
        return EndpointList((), (text,))
    document = read_endpoints_document(text)
    if document.content is None:
        return EndpointList((), document.findings)
    bundles: dict[str, Bundle] = {}
    found: list[Finding] = []
    for index, entry in enumerate(document.content):
        if entry.bundle in bundles:
            continue
        try:
            bundles[entry.bundle] = load_bundle(path.parent / entry.bundle)
        except (ValueError, OSError) as error:
            found.append(Finding(Severity.ERROR, f"endpoints[{index}].bundle", str(error)))
    findings = (*document.findings, *document.places.locate(found))
    if has_errors(findings):
        return EndpointList((), findings)
    endpoints = (
        EndpointSpec(entry.endpoint, entry.model or default_model, bundles[entry.bundle]) for entry in document.content
    )
    return EndpointList(tuple(endpoints), findings)


def read_endpoints_document(text: str) -> YamlDocument[tuple[EndpointEntry, ...]]:
    """Read the text of an endpoints file; no bundle is looked at.

    Args:
        text: The file; untrusted.

    Returns:
        The document; its places also locate what is wrong with a bundle.
    """
    return read_document(text, _KEYS, _read_endpoints, _check, _BEGIN)


def _read_endpoints(reader: DocumentReader, table: Table) -> tuple[EndpointEntry, ...]:
    field = reader.fields.required(
        table, "endpoints", "list at least one endpoint, as in - {endpoint: HOST:PORT, bundle: DIR}"
    )
    items = reader.fields.items(field) if field else None
    reader.places.put("endpoints", None if items is None else field)
    tables = [reader.fields.table(item, _ENDPOINT_KEYS) for item in items or ()]
    readable = [entry for entry in tables if entry is not None]
    if len(readable) != len(tables):
        reader.places.put("endpoints", None)
    return tuple(_read_endpoint(reader, entry, f"endpoints[{i}]") for i, entry in enumerate(readable))


def _read_endpoint(reader: DocumentReader, table: Table, path: str) -> EndpointEntry:
    reader.places.put(path, table.field)
    return EndpointEntry(
        endpoint=reader.text(table, "endpoint", f"{path}.endpoint", "name HOST:PORT of Triton's gRPC"),
        bundle=reader.text(table, "bundle", f"{path}.bundle", "name the directory of the bundle it serves"),
        model=reader.optional_text(table, "model", f"{path}.model"),
    )


def _check(entries: tuple[EndpointEntry, ...]) -> Iterator[Finding]:
    if not entries:
        yield Finding(Severity.ERROR, "endpoints", "is empty; list at least one endpoint")
    first_at: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(entries):
        path = f"endpoints[{index}]"
        if not _is_address(entry.endpoint):
            yield Finding(Severity.ERROR, f"{path}.endpoint", f"{quoted(entry.endpoint)} is not HOST:PORT; write both")
        if not entry.bundle.strip():
            yield Finding(Severity.ERROR, f"{path}.bundle", "is empty; name the directory of the bundle")
        first = first_at.setdefault((entry.endpoint, entry.model), index)
        if first != index:
            message = f"{quoted(entry.endpoint)} is already endpoints[{first}] with the same model; remove one of them"
            yield Finding(Severity.ERROR, f"{path}.endpoint", message)


def _is_address(text: str) -> bool:
    try:
        host, port = split_address(text)
    except ValueError:
        return False
    return bool(host) and port > 0
