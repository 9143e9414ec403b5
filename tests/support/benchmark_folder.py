"""A benchmark folder of one setting, made up for the tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONVERSATION: dict[str, object] = {
    "id": "talk-1",
    "setting": "talk",
    "source": "made up",
    "granularity": "fine",
    "policy_set": "talk_set",
    "messages": [
        {"role": "user", "content": "write a loop"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ],
    "labels": [{"turn": 0, "route": "code_write"}, {"turn": 2, "route": "other"}],
}

# Any: nested JSON that tests change in one place.
POLICY_SET: dict[str, Any] = {
    "policy_set": "talk_set",
    "routes": [
        {"name": "code_write", "domain": "code", "action": "write", "description": "Write new code"},
        {"name": "code", "domain": "code", "action": "", "description": "Anything else about code"},
    ],
}


def write_benchmark(
    directory: Path,
    conversations: Sequence[Mapping[str, object]] = (CONVERSATION,),
    policy_set: Mapping[str, object] = POLICY_SET,
) -> Path:
    """Write the setting ``talk`` and its policy set."""
    lines = "".join(json.dumps(conversation) + "\n" for conversation in conversations)
    (directory / "talk.jsonl").write_text(lines, encoding="utf-8")
    (directory / "policies").mkdir(exist_ok=True)
    (directory / "policies" / "talk_set.json").write_text(json.dumps(policy_set), encoding="utf-8")
    return directory
