"""The corpus of policy files and suites in ``tests/data/policies``: one invalid file per rule, and valid ones.

Beside each ``<name>.yaml`` stands ``<name>.expected.json``. Of an invalid file it lists every finding, with a part of
the message; of a valid one it holds what was read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from archrouter.domain.findings import Severity
from archrouter.domain.policy import PolicySet
from archrouter.domain.suite import Suite
from archrouter.policy_files.directory import read_policy_file, read_suite_file
from archrouter.strict_yaml.document import YamlDocument

_CORPUS = Path(__file__).parents[2] / "data" / "policies"
_EXPECTED_SUFFIX = ".expected.json"


def _files(folder: str) -> list[Path]:
    return sorted((_CORPUS / folder).glob("*.yaml"))


def _name(path: Path) -> str:
    return path.stem


def _read(path: Path) -> YamlDocument[PolicySet] | YamlDocument[Suite]:
    if not path.stem.endswith("_test"):
        return read_policy_file(path)
    return read_suite_file(path)


def _expected(path: Path) -> object:
    return json.loads(path.with_suffix(_EXPECTED_SUFFIX).read_text(encoding="utf-8"))


def _policy_set_as_json(policy_set: PolicySet) -> Mapping[str, object]:
    plain = {key: value for key, value in asdict(policy_set).items() if not key.startswith("_")}
    if plain["promise"] is None:
        del plain["promise"]
    for route in plain["routes"]:  # lists that most routes lack are only shown where they hold something
        for key in ("examples", "not_examples"):
            if not route[key]:
                del route[key]
    return {**plain, "revision": policy_set.revision}


def _suite_as_json(suite: Suite) -> Mapping[str, object]:
    return {
        "policy_set_id": suite.policy_set_id,
        "cases": [
            {
                "name": case.name,
                "messages": [[message.role.value, message.content] for message in case.messages],
                "expected_route_id": case.expected_route_id,
                "expected_outcome": case.expected_outcome.name if case.expected_outcome else None,
            }
            for case in suite.cases
        ],
    }


@pytest.mark.parametrize("folder", ["invalid", "valid"])
def test_corpus_pairs_every_file_with_its_expectation(folder: str) -> None:
    """No file of the corpus lacks its expectation, and no expectation lacks its file."""
    files = {path.stem for path in _files(folder)}
    expectations = {path.name.removesuffix(_EXPECTED_SUFFIX) for path in (_CORPUS / folder).glob("*.json")}

    assert files
    assert files == expectations


@pytest.mark.parametrize("path", _files("invalid"), ids=_name)
def test_findings_of_invalid_file_are_exactly_the_expected(path: Path) -> None:
    """Every finding has the severity, field path, line and column its author needs, and there is no other finding."""
    expected = _expected(path)
    assert isinstance(expected, list)

    findings = _read(path).findings

    actual = [
        {
            "severity": finding.severity.value,
            "field_path": finding.field_path,
            "line": finding.line,
            "column": finding.column,
            "message": part["message"] if part["message"] in finding.message else finding.message,
        }
        for finding, part in zip(findings, expected, strict=False)
    ]
    assert expected == actual
    assert len(expected) == len(findings)


@pytest.mark.parametrize("path", _files("invalid"), ids=_name)
def test_content_of_invalid_file_is_withheld_unless_all_findings_are_warnings(path: Path) -> None:
    """A file with an error gives nothing to use; a file with warnings alone does."""
    document = _read(path)

    has_error = any(finding.severity is Severity.ERROR for finding in document.findings)

    assert has_error == (document.content is None)


@pytest.mark.parametrize("path", _files("valid"), ids=_name)
def test_content_of_valid_file_is_what_it_says(path: Path) -> None:
    """A valid file is read without a finding into exactly the expected object, under a pinned revision."""
    document = _read(path)

    assert () == document.findings
    content = document.content
    assert content is not None
    actual = _policy_set_as_json(content) if isinstance(content, PolicySet) else _suite_as_json(content)
    assert _expected(path) == json.loads(json.dumps(actual))
