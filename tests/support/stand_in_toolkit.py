"""A stand-in for Docker and TensorRT-LLM's image: files of the right names and layout, and nothing that could run.

It exists so that everything around the tools runs for real. What it writes is no TensorRT engine.
"""

import json
import shutil
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ENGINE_BYTES = b"stand-in, no engine\n" * 1000
L40S = "NVIDIA L40S, 8.9, 590.44.01\n"

_DOCKER = f"""#!{sys.executable} -I
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from stand_in_toolkit import run_docker, tool_of

here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(tool_of(sys.argv) + "\\n")
if (here / "hang").exists():
    (here / "hanging").touch()
    time.sleep(600)
run_docker(sys.argv)
"""


def write_toolkit(folder: Path) -> Path:
    """Write the programs ``docker`` and ``nvidia-smi`` into a folder for the path.

    Args:
        folder: Where. ``calls`` in it names each tool that ran, a file ``hang`` in it makes the tools hang.

    Returns:
        The folder.
    """
    folder.mkdir()
    for name, text in {"docker": _DOCKER, "nvidia-smi": f"#!/bin/sh\necho '{L40S.strip()}'\n"}.items():
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def tool_of(command: Sequence[str]) -> str:
    """Name the tool that a ``docker run`` line runs: the program or script after the image."""
    after = list(command[command.index("-w") + 3 :])
    return Path(after[1] if after[0] == "python3" else after[0]).name


def mounts_of(command: Sequence[str]) -> dict[str, Path]:
    """Read what a ``docker run`` line mounts: folders on this machine by their paths in the container."""
    words = [command[index + 1].split(":") for index, word in enumerate(command) if word == "-v"]
    return {inside: Path(outside) for outside, inside, *_ in words}


def option(command: Sequence[str], name: str) -> str:
    """Read the value of an option."""
    return command[command.index(name) + 1]


def run_docker(command: Sequence[str]) -> None:
    """Do what the tool of a ``docker run`` line would, as far as this project sees it."""
    mounts = mounts_of(command)
    output = mounts[option(command, "--output_dir")]
    if tool_of(command) != "trtllm-build":
        source = mounts[option(command, "--model_dir")]
        shutil.copy(source / "model.safetensors", output / "rank0.safetensors")
        vocab_size = json.loads((source / "config.json").read_text())["vocab_size"]
        (output / "config.json").write_text(json.dumps({"vocab_size": vocab_size, "logits_dtype": "float32"}))
        return
    numbers = {key: int(option(command, f"--{key}")) for key in ("max_batch_size", "max_num_tokens", "max_seq_len")}
    write_engine(output, **{f"build_config.{key}": number for key, number in numbers.items()})


def write_engine(folder: Path, **changes: object) -> None:
    """Write what the compiler would leave for the tiny checkpoint, as far as this project reads it.

    Args:
        folder: Of the engine.
        changes: Values by dotted key, e.g. ``build_config.max_seq_len``; None removes the key.
    """
    config: dict[str, Any] = {
        "version": "1.2.1",
        "pretrained_config": {"vocab_size": 1024, "logits_dtype": "float32"},
        "build_config": {
            "max_batch_size": 64,
            "max_num_tokens": 8192,
            "max_seq_len": 1024,
            "gather_generation_logits": True,
            "plugin_config": {"tokens_per_block": 32, "use_paged_context_fmha": True},
        },
    }
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        target = config
        for parent in parents:
            target = target[parent]
        if value is None:
            del target[key]
        else:
            target[key] = value
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "rank0.engine").write_bytes(ENGINE_BYTES)
