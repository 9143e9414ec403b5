"""A build on paper: the exact command of every step. Nothing is run."""

import shlex
from pathlib import Path
from typing import Any

from engine.assemble import GPU_FILE
from engine.commands import GPU_QUERY, serve_line
from engine.steps import BuildRequest, Place, Step, steps_of, tool_output

Document = dict[str, Any]  # Any: JSON


def plan_document(request: BuildRequest) -> Document:
    """Plan a build; a checkpoint that cannot be used raises BadInputError."""
    return {
        "source": request.source,
        "revision": request.revision,
        "precision": request.precision.value,
        "tensorrt_llm": request.version,
        "image": request.toolkit.reference,
        "workspace": str(request.workspace),
        "steps": [_planned(step) for step in steps_of(request, request.inspect())],
        "serve": serve_line(request.toolkit, request.settings.container, request.folder("assemble")),
    }


def plan_text(document: Document) -> str:
    """Write a plan for people."""
    lines = [
        (
            f"from {document['source']} to {document['workspace']}: {document['precision']}, "
            f"TensorRT-LLM {document['tensorrt_llm']} in {document['image']}"
        )
    ]
    for number, step in enumerate(document["steps"], 1):
        lines += ["", f"{number}. {step['name']}, {step['place']}: {step['summary']}"]
        lines += [f"   $ {command}" for command in step["commands"]] + [f"   {step['output']}"]
    lines += ["", "Serve the TensorRT engine, before verify:", f"   $ {document['serve']}"]
    lines += ["", "The commands run in the root of the repository, with PYTHONPATH=build. Nothing was run."]
    return "\n".join(lines)


def _planned(step: Step) -> Document:
    commands = [shlex.join(step.command)] if step.command else []
    if step.place is Place.IMAGE:
        # Relative to the working folder, as people would write it; Docker wants absolute paths.
        commands[0] = commands[0].replace(f"{Path.cwd()}/", '"$PWD"/')
        commands.insert(0, f"mkdir -p {tool_output(step.output)}")
        commands.append(f"{shlex.join(GPU_QUERY)} > {step.output / GPU_FILE}")
    return {
        "name": step.name,
        "summary": step.summary,
        "place": step.place.value,
        "commands": commands,
        "output": str(step.output),
    }
