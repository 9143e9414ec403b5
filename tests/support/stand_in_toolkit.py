"""A stand-in for TensorRT-LLM's tools: files of the right names and layout, and nothing that could run.

It exists so that everything around the tools runs for real. What it writes is no engine.
"""

import json
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENGINE_BYTES = b"stand-in, no engine\n" * 1000

_GPU = "NVIDIA L40S, 8.9, 590.44.01"

_PROGRAM = f"""#!{sys.executable} -I
import json, pathlib, shutil, sys, time

words = sys.argv[1:]
options = {{word: words[i + 1] if i + 1 < len(words) and not words[i + 1].startswith("--") else True
           for i, word in enumerate(words) if word.startswith("--")}}
output = pathlib.Path(options["--output_dir"])
output.mkdir(parents=True, exist_ok=True)
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(pathlib.Path(__file__).name + "\\n")
if (here / "hang").exists():
    (output / "rank0.engine").write_bytes(b"half")
    (here / "hanging").touch()
    time.sleep(600)
"""
_CONVERT = """
source = pathlib.Path(options["--model_dir"])
shutil.copy(source / "model.safetensors", output / "rank0.safetensors")
config = json.loads((source / "config.json").read_text())
(output / "config.json").write_text(json.dumps({"vocab_size": config["vocab_size"], "logits_dtype": "float32"}))
"""
_COMPILE = """
config = {
    "version": "1.2.1",
    "pretrained_config": json.loads((pathlib.Path(options["--checkpoint_dir"]) / "config.json").read_text()),
    "build_config": {
        **{key: int(options["--" + key]) for key in ("max_batch_size", "max_num_tokens", "max_seq_len")},
        "gather_generation_logits": "--gather_generation_logits" in options,
        "plugin_config": {
            "tokens_per_block": int(options["--tokens_per_block"]),
            "use_paged_context_fmha": options["--use_paged_context_fmha"] == "enable",
        },
    },
}
(output / "config.json").write_text(json.dumps(config))
(output / "rank0.engine").write_bytes(b"stand-in, no engine\\n" * 1000)
"""


@dataclass(frozen=True)
class StandInToolkit:
    """Where the stand-in is.

    Attributes:
        folder: Goes on the path; ``calls`` in it names each run, a file ``hang`` in it makes the tools hang.
        settings: Settings file that names its scripts.
    """

    folder: Path
    settings: Path

    @property
    def calls(self) -> list[str]:
        """Names of the tools, in the order of their runs."""
        path = self.folder / "calls"
        return path.read_text().split() if path.is_file() else []


def write_toolkit(folder: Path, settings: Path) -> StandInToolkit:
    """Write the stand-in.

    Args:
        folder: Where.
        settings: The checked-in settings, which are copied with the scripts' paths changed.

    Returns:
        The stand-in.
    """
    folder.mkdir()
    programs = {
        "convert_checkpoint.py": _PROGRAM + _CONVERT,
        "quantize.py": _PROGRAM + _CONVERT,
        "trtllm-build": _PROGRAM + _COMPILE,
        "nvidia-smi": f"#!/bin/sh\necho '{_GPU}'\n",
    }
    for name, text in programs.items():
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    text = settings.read_text("utf-8")
    text = text.replace("/app/examples/models/core/qwen/convert_checkpoint.py", str(folder / "convert_checkpoint.py"))
    text = text.replace("/app/examples/quantization/quantize.py", str(folder / "quantize.py"))
    copy = folder / "pipeline.toml"
    copy.write_text(text, "utf-8")
    return StandInToolkit(folder, copy)


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
