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
from pathlib import Path
from typing import Annotated

from pydantic import Field

from archrouter.config import split_address
from archrouter.domain.findings import Finding, error_at, has_errors, quoted
from archrouter.inference.bundle import Bundle
from archrouter.inference.endpoint import EndpointList, EndpointSpec
from archrouter.strict_yaml.document import Reading, Table, Text, YamlDocument, read_document, read_file


class EndpointEntry(Table):
    """What the file says of one endpoint; its bundle as written, its model empty where it is left out."""

    endpoint: Annotated[Text, Field(description="name HOST:PORT of Triton's gRPC")] = ""
    bundle: Annotated[Text, Field(description="name the directory of the bundle it serves")] = ""
    model: Text = ""


class _EndpointsFile(Table):
    endpoints: Annotated[
        tuple[EndpointEntry, ...],
        Field(description="list at least one endpoint, as in - {endpoint: HOST:PORT, bundle: DIR}"),
    ] = ()


def load_endpoints(path: Path, default_model: str, load_bundle: Callable[[Path], Bundle]) -> EndpointList:
    """Read an endpoints file and the bundles it names.

    Args:
        path: The file; of any size, kind and content.
        default_model: Triton model of entries that name none.
        load_bundle: Reads a bundle; raises ValueError or OSError for one that cannot be used.

    Returns:
        The endpoints, none of which has been called yet; or why the file cannot be used.
    """
    document = read_file(path, read_endpoints_document)
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
            found.append(error_at(f"endpoints[{index}].bundle", str(error)))
    findings = (*document.findings, *document.places.locate(found))
    if has_errors(findings):
        return EndpointList((), findings)
    endpoints = (
        EndpointSpec(entry.endpoint, entry.model or default_model, bundles[entry.bundle]) for entry in document.content
    )
    return EndpointList(tuple(endpoints), findings)


def read_endpoints_document(text: str) -> YamlDocument[tuple[EndpointEntry, ...]]:
    """Read the text of an endpoints file, untrusted; its places also locate what is wrong with a bundle."""
    return read_document(text, _EndpointsFile, _build, _check, "'endpoints:' and a list")


def _build(file: _EndpointsFile, reading: Reading) -> tuple[EndpointEntry, ...]:
    reading.put("endpoints", file.at("endpoints"))
    for index, entry in enumerate(file.endpoints):
        path = f"endpoints[{index}]"
        reading.put(path, entry.place)
        for key in ("endpoint", "bundle", "model"):
            reading.put(f"{path}.{key}", entry.at(key))
    return file.endpoints


def _check(entries: tuple[EndpointEntry, ...]) -> Iterator[Finding]:
    if not entries:
        yield error_at("endpoints", "is empty; list at least one endpoint")
    first_at: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(entries):
        path = f"endpoints[{index}]"
        if not _is_address(entry.endpoint):
            yield error_at(f"{path}.endpoint", f"{quoted(entry.endpoint)} is not HOST:PORT; write both")
        if not entry.bundle.strip():
            yield error_at(f"{path}.bundle", "is empty; name the directory of the bundle")
        first = first_at.setdefault((entry.endpoint, entry.model), index)
        if first != index:
            message = f"{quoted(entry.endpoint)} is already endpoints[{first}] with the same model; remove one of them"
            yield error_at(f"{path}.endpoint", message)


def _is_address(text: str) -> bool:
    try:
        host, port = split_address(text)
    except ValueError:
        return False
    return bool(host) and port > 0
