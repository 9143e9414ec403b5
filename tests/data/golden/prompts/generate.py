"""Writes the golden prompts from `cases.json` without the code under test: `json.dumps` and `str.replace` only."""

import json
from pathlib import Path

HERE = Path(__file__).parent
HEAD = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
TAIL = "<|im_end|>\n<|im_start|>assistant\n"


NO_PARAMETERS = {"type": "object", "properties": {}, "required": []}
DIALECTS = ("card", "gateway", "plano")


def dump(dialect: str, records: list[dict[str, str]]) -> str:
    """Write a list as the model card's example code or as the reference gateway does."""
    if dialect == "card":
        return json.dumps(records)
    return json.dumps(records, ensure_ascii=False, separators=(",", ":"))


def dump_routes(dialect: str, records: list[dict[str, str]]) -> str:
    """Write the routes; the successor's gateway writes one object a line, each with a schema of no parameters."""
    if dialect != "plano":
        return dump(dialect, records)
    return "\n".join(json.dumps({**record, "parameters": NO_PARAMETERS}, ensure_ascii=False) for record in records)


def dump_messages(dialect: str, records: list[dict[str, str]]) -> str:
    """Write the messages; the successor's gateway indents them."""
    return json.dumps(records, ensure_ascii=False, indent=4) if dialect == "plano" else dump(dialect, records)


def golden(dialect: str, case: dict[str, list[list[str]]]) -> str:
    """Write one whole prompt; cut at the second slot first, because a message of a case spells the first."""
    template = (HERE / f"template_{dialect}.txt").read_bytes().decode()
    routes = dump_routes(dialect, [{"name": name, "description": text} for name, text in case["routes"]])
    messages = dump_messages(dialect, [{"role": role, "content": text} for role, text in case["messages"]])
    before, after = template.split("{conversation}")
    return HEAD + before.replace("{routes}", routes) + messages + after + TAIL


def main() -> None:
    """Write every case in every dialect beside this file."""
    cases = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
    for name, case in cases.items():
        for dialect in DIALECTS:
            (HERE / f"{name}.{dialect}.txt").write_bytes(golden(dialect, case).encode())


if __name__ == "__main__":
    main()
