"""What the documents tell callers, against what the wire sends and what runs."""

import json
import re
from pathlib import Path

from archrouter.rpc.status import TABLE

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
CLIENTS_PAGE = ROOT / "docs" / "clients.md"


def _documented() -> set[tuple[str, str]]:
    rows = re.findall(r"^\| ([A-Z_, ]+) \| (`ERROR_REASON_[^|]*) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    pairs = set()
    for codes, reasons in rows:
        names = re.findall(r"`(\w+)`", reasons)
        split = codes.split(", ")
        pairs |= set(zip(split * len(names) if len(split) == 1 else split, names, strict=True))
    return pairs


def test_readme_lists_every_reason_as_the_wire_sends_it() -> None:
    """README's table has each code with each reason that the server sends beside it, by its full name."""
    sent = {(row.code.name, f"ERROR_REASON_{row.reason}") for row in TABLE.values()}

    assert sent == _documented()


def test_documented_lines_are_those_of_the_programs_that_run() -> None:
    """Each line of the examples in docs/clients.md is in the consumer that the checks run."""
    consumers = ROOT / "clients" / "conformance" / "consumers"
    programs = {
        "go": consumers / "go" / "main.go",
        "typescript": consumers / "typescript" / "main.ts",
        "java": consumers / "java" / "src" / "main" / "java" / "example" / "Consumer.java",
        "python": consumers / "python" / "main.py",
    }
    examples, _, _ = CLIENTS_PAGE.read_text(encoding="utf-8").partition("## Getting them")
    blocks = re.findall(r"```(\w+)\n(.*?)```", examples, re.DOTALL)

    assert set(programs) == {language for language, _ in blocks}
    for language, block in blocks:
        lines = {line.strip() for line in programs[language].read_text(encoding="utf-8").splitlines()}
        assert set() == {line.strip() for line in block.splitlines()} - {""} - lines


def test_documented_table_lists_every_vector() -> None:
    """The table in docs/clients.md is of the vectors that there are, and every language passes each."""
    text = CLIENTS_PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| passes \| passes \| passes \| passes \|$", text, re.MULTILINE)
    files = sorted((ROOT / "clients" / "conformance").glob("*.json"))

    assert [vector["name"] for file in files for vector in json.loads(file.read_text("utf-8"))] == rows
