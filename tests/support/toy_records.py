"""A folder of labelled conversations in the form that ``archrouter eval`` reads."""

import json
from pathlib import Path


def write_toy_records(folder: Path, count: int) -> Path:
    """Write conversations about music, one labelled turn each.

    Args:
        folder: Folder to make.
        count: Conversations.

    Returns:
        The folder.
    """
    (folder / "policies").mkdir(parents=True)
    route = {"name": "play_song", "domain": "music", "action": "play_song", "description": "play music by an artist"}
    (folder / "policies" / "toy.json").write_text(json.dumps({"policy_set": "toy", "routes": [route]}))
    records = [
        {
            "id": f"toy-{number}",
            "setting": "toy",
            "granularity": "fine",
            "policy_set": "toy",
            "messages": [{"role": "user", "content": f"play song number {number}"}],
            "labels": [{"turn": 0, "route": "play_song"}],
        }
        for number in range(count)
    ]
    (folder / "toy.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
