"""Build the service's image in a folder and run its commands there, for machines without a container engine.

The instructions are those of deploy/docker/service.Dockerfile: COPY and RUN make a virtual environment, ENV is its
environment, ENTRYPOINT, CMD and HEALTHCHECK are what is run. Only the base image is missing.

Run from the repository's root with `PYTHONPATH=.`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.deployment import REQUIRED_VARIABLES, Dockerfile, read_compose

ROOT = Path(__file__).parents[1]
IMAGE_ROOT = "/opt/archrouter"
TARGET = "service"


def main() -> int:
    """Build and run.

    Returns:
        Exit code: 1 when a command does not end as it should.
    """
    image = Dockerfile.read(ROOT / "deploy" / "docker" / "service.Dockerfile")
    with tempfile.TemporaryDirectory() as scratch:
        _build(image, Path(scratch))
        environment = image.environment(TARGET) | {"PATH": f"{scratch}/venv/bin:{os.defpath}"}
        entry = image.last(TARGET, "ENTRYPOINT").words
        command = [*entry, *image.last(TARGET, "CMD").words]
        engine = read_compose(ROOT / "deploy" / "compose.yaml", REQUIRED_VARIABLES)["services"]["archrouter"]
        opened = {"ARCHROUTER_AUTH_ALLOW_UNAUTHENTICATED": "true"}
        runs = [
            ("the entry point explains itself", [*entry, "--help"], {}, 0, "Usage: archrouter"),
            ("the health check says that nobody serves", image.health_command(TARGET), {}, 3, "does not answer"),
            ("a server open to everybody is refused", command, {}, 1, "auth.allow_unauthenticated"),
            ("without policies the start fails", command, opened, 1, "set policies.directory"),
            ("without a bundle the start fails", command, engine["environment"], 1, "/opt/archrouter/bundle"),
            ("a typo is no setting", command, {"ARCHROUTER_SERVER_LISEN": "x"}, 2, "ARCHROUTER_SERVER_LISEN"),
        ]
        failed = [name for name, *run in runs if not _ends_as_expected(environment, name, *run)]
        return int(bool(failed))


def _build(image: Dockerfile, scratch: Path) -> None:
    """Do what the stage `build` does, in a folder instead of the image's root."""
    source = scratch / "source"
    source.mkdir()
    for instruction in image.lineage("build"):
        if instruction.keyword == "COPY":
            for name in instruction.words[:-1]:
                path = ROOT / name
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, source / name)
        elif instruction.keyword == "RUN":
            shell = instruction.text.replace(IMAGE_ROOT, str(scratch))
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            environment = os.environ | {"PATH": path}
            done = subprocess.run(
                ["/bin/sh", "-c", shell], cwd=source, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"images: {shell}\n{done.stdout}{done.stderr}")


def _ends_as_expected(
    environment: Mapping[str, str], name: str, command: list[str], more: Mapping[str, str], exit_code: int, text: str
) -> bool:
    done = subprocess.run(
        command, env={**environment, **more}, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    output = done.stdout + done.stderr
    if done.returncode == exit_code and text in output:
        print(f"images: {name}")
        return True
    print(f"images: {' '.join(command)} ended with {done.returncode}, not {exit_code} and {text!r}:\n{output}")
    return False


if __name__ == "__main__":
    sys.exit(main())
