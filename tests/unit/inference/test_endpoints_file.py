"""Endpoints files: what they say, and where and why one cannot be used."""

from pathlib import Path

import pytest
from tests.support.engine_bundles import change_engine, write_engine_bundle

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import read_manifest
from archrouter.inference.endpoint import EndpointList
from archrouter.inference.endpoints_file import load_endpoints, read_endpoints_document

TWO = """\
endpoints:
  - endpoint: triton-a:8001
    bundle: bundles/one
  - {endpoint: "[::1]:8001", bundle: /srv/two, model: router_v2}
"""


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """Give a folder with the bundle ``one``."""
    write_engine_bundle(tmp_path / "one", checkpoint)
    return tmp_path


def load(folder: Path, text: str) -> EndpointList:
    """Read a file of that text in a folder."""
    file = folder / "endpoints.yaml"
    file.write_text(text, encoding="utf-8")
    return load_endpoints(file, "tensorrt_llm", load_bundle)


def test_entries_are_read_as_written() -> None:
    """Endpoint, bundle and model of each, in order."""
    document = read_endpoints_document(TWO)

    assert () == document.findings
    assert [("triton-a:8001", "bundles/one", ""), ("[::1]:8001", "/srv/two", "router_v2")] == [
        (one.endpoint, one.bundle, one.model) for one in document.content or ()
    ]


FAULTS = {
    "empty": ("", 1, 1, "", "begin with 'endpoints:' and a list"),
    "a list": ("- a", 1, 1, "", "begin with 'endpoints:' and a list"),
    "no YAML": ("endpoints: [", 1, 13, "", "not valid YAML"),
    "misspelled key": ("endpoint: []", 1, 1, "endpoint", "did you mean 'endpoints'?"),
    "no endpoint at all": ("endpoints: []", 1, 12, "endpoints", "is empty; list at least one endpoint"),
    "not a list": ("endpoints: triton:8001", 1, 12, "endpoints", "write a list"),
    "not a mapping": ("endpoints: [triton:8001]", 1, 13, "endpoints[0]", "write a mapping with keys such as"),
    "no endpoint": ("endpoints:\n  - bundle: b", 2, 5, "endpoints[0].endpoint", "is missing; name HOST:PORT"),
    "no bundle": ("endpoints:\n  - endpoint: a:1", 2, 5, "endpoints[0].bundle", "is missing; name the directory"),
    "blank bundle": ("endpoints:\n  - {endpoint: a:1, bundle: ' '}", 2, 29, "endpoints[0].bundle", "is empty"),
    "no port": ("endpoints:\n  - {endpoint: a, bundle: b}", 2, 16, "endpoints[0].endpoint", "'a' is not HOST:PORT"),
    "port too large": (
        "endpoints:\n  - {endpoint: 'a:65536', bundle: b}",
        2,
        16,
        "endpoints[0].endpoint",
        "not HOST:PORT",
    ),
    "a URL": ("endpoints:\n  - {endpoint: 'http://a:1', bundle: b}", 2, 16, "endpoints[0].endpoint", "not HOST"),
    "a number": ("endpoints:\n  - {endpoint: 12:30, bundle: b}", 2, 16, "endpoints[0].endpoint", "quote it"),
    "unknown key": (
        "endpoints:\n  - {endpoint: a:1, bundle: b, weight: 2}",
        2,
        32,
        "endpoints[0].weight",
        "unknown key",
    ),
    "listed twice": (
        "endpoints:\n  - {endpoint: a:1, bundle: b}\n  - {endpoint: a:1, bundle: c}",
        3,
        16,
        "endpoints[1].endpoint",
        "'a:1' is already endpoints[0] with the same model; remove one",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_used_is_found_where_it_stands(fault: str) -> None:
    """Line, column, field and remedy."""
    text, line, column, path, message = FAULTS[fault]
    document = read_endpoints_document(text)
    finding = document.findings[0]

    assert document.content is None
    assert (line, column, path) == (finding.line, finding.column, finding.field_path)
    assert message in finding.message


def test_bundles_are_loaded_from_beside_the_file_once_each(folder: Path) -> None:
    """Relative paths start at the file, the default model fills in, and two endpoints may share a bundle."""
    listed = load(
        folder, "endpoints:\n  - {endpoint: a:1, bundle: one}\n  - {endpoint: b:1, bundle: one, model: router_v2}\n"
    )

    assert ["a:1/tensorrt_llm", "b:1/router_v2"] == [endpoint.name for endpoint in listed.endpoints]
    assert listed.endpoints[0].bundle is listed.endpoints[1].bundle
    assert listed.endpoints[0].profile is not None
    assert read_manifest(folder / "one")[1] == listed.endpoints[0].profile.model_version


def test_a_wrong_engine_is_found_before_any_call(folder: Path) -> None:
    """What a bundle says of its engine is checked with the file, at the line that names it."""
    change_engine(folder / "one", "build_config", "gather_generation_logits", value=False)

    listed = load(folder, "endpoints:\n  - endpoint: a:1\n    bundle: one\n")

    assert () == listed.endpoints
    assert [(3, 13, "endpoints[0].bundle")] == [(one.line, one.column, one.field_path) for one in listed.findings]
    assert "--gather_generation_logits" in listed.findings[0].message


def test_a_missing_bundle_and_a_missing_file_are_findings(folder: Path) -> None:
    """Nothing is raised for what a file says or that it is not there."""
    no_bundle = load(folder, "endpoints:\n  - {endpoint: a:1, bundle: two}\n")
    no_file = load_endpoints(folder / "nothing.yaml", "tensorrt_llm", load_bundle)

    assert "is no bundle: manifest.json cannot be read" in no_bundle.findings[0].message
    assert "cannot be read: No such file" in no_file.findings[0].message


def test_one_endpoint_is_one_place_with_equal_facts(folder: Path) -> None:
    """Loaded again it is the same; with another model it is not."""
    text = "endpoints:\n  - {endpoint: a:1, bundle: one}\n"
    first, again = load(folder, text).endpoints[0], load(folder, text).endpoints[0]
    other = load(folder, text.replace("}", ", model: m}")).endpoints[0]

    assert (True, False) == (first.is_same_as(again), first.is_same_as(other))
