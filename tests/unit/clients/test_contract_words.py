"""What README tells callers about errors, against what the wire sends."""

import re
from pathlib import Path

from archrouter.rpc.status import TABLE
from archrouter.v1 import ErrorReason

README = Path(__file__).parents[3] / "README.md"


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
    sent = {(row.code.name, ErrorReason.Name(row.reason)) for row in TABLE.values()}

    assert sent == _documented()
