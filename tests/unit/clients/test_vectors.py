"""The vectors of clients/conformance leave out no row of the published table of failures, and no reason."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from archrouter.v1 import ErrorReason

ROOT = Path(__file__).parents[3]
CLIENTS = ROOT / "clients"


def _read(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8")))


def _raised_by_vectors() -> dict[tuple[str, str], bool]:
    """Whether the caller hears of a failure, by code and reason."""
    vectors = _read(CLIENTS / "conformance" / "errors.json")
    return {(v["expect"]["code"], v["expect"]["reason"]): v["expect"]["source"] == "error" for v in vectors}


def test_every_row_of_the_failures_has_vectors_that_agree() -> None:
    """What the table says of a code, or of a code with a reason, is what its vectors expect."""
    raised = _raised_by_vectors()

    for row in _read(CLIENTS / "failures.json"):
        matching = {
            value
            for (code, reason), value in raised.items()
            if code == row["code"] and reason == row.get("reason", reason)
        }
        assert {row["then"] == "raise"} == matching, row


def test_every_reason_has_a_vector() -> None:
    """Each reason that the server may send is in a vector."""
    reasons = {reason for _, reason in _raised_by_vectors()} - {""}

    assert set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"} == reasons


def test_vectors_have_distinct_names() -> None:
    """A name stands for one vector, over all files."""
    names = [vector["name"] for path in (CLIENTS / "conformance").glob("*.json") for vector in _read(path)]

    assert len(set(names)) == len(names)


def test_packages_have_the_version_of_the_service() -> None:
    """The packages of npm and Maven are released in step with the Python one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    npm = json.loads((CLIENTS / "typescript" / "package.json").read_text(encoding="utf-8"))["version"]

    poms = [CLIENTS / "java" / folder / "pom.xml" for folder in (".", "stubs", "client", "conformance")]
    maven = {re.search("<version>(.*)</version>", pom.read_text(encoding="utf-8"))[1] for pom in poms}  # type: ignore[index]

    assert (version, {version}) == (npm, maven)
