"""The Dockerfiles, as far as they can be checked without building an image; hadolint is in `make check`."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.deployment import Dockerfile, flags_of, is_in_context

from archrouter.cli import cli
from archrouter.cli.connection import DEFAULT_TARGET
from archrouter.config import ENV_PREFIX, Settings
from archrouter.config_sources import load_settings, setting_keys

TARGETS = ("service", "embedded")


def _settings(image: Dockerfile, target: str) -> Settings:
    return load_settings({}, None, image.environment(target))


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_everything_that_is_copied_exists_and_is_in_the_context(root: Path, service_image: Dockerfile) -> None:
    """No COPY names a path that is missing or that .dockerignore keeps out."""
    copies = [each for stage in service_image.stages.values() for each in stage.instructions if each.keyword == "COPY"]
    sources = [source for copy in copies if "from" not in copy.flags for source in copy.words[:-1]]

    assert sources
    assert [] == [source for source in sources if not (root / source).exists()]
    assert [] == [source for source in sources if not is_in_context(source, root / ".dockerignore")]


def test_every_stage_that_is_copied_from_exists(service_image: Dockerfile, triton_image: Dockerfile) -> None:
    """No COPY --from names a stage with a typo, which Docker would pull as an image."""
    for image in (service_image, triton_image):
        for stage in image.stages.values():
            sources = {each.flags["from"] for each in stage.instructions if "from" in each.flags}
            assert sources <= image.stages.keys()


@pytest.mark.parametrize("folder", [".", "clients/python"])
def test_the_build_has_what_the_package_metadata_names(root: Path, service_image: Dockerfile, folder: str) -> None:
    """No wheel can be built without its readme, its licence and its sources."""
    project = tomllib.loads((root / folder / "pyproject.toml").read_text(encoding="utf-8"))
    package = Path(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"][0])
    needed = {project["project"]["readme"], *project["project"]["license-files"], package.parts[0]}

    words = {word for each in service_image.lineage("build") if each.keyword == "COPY" for word in each.words[:-1]}

    assert set() == {name for name in needed if not words & {str(Path(folder, name)), folder}}


@pytest.mark.parametrize("path", [".git/config", "deploy/.env", "tests/data/tiny_checkpoint/model.safetensors"])
def test_what_no_image_needs_is_not_in_the_context(root: Path, path: str) -> None:
    """Secrets and weights cannot get into a layer by a careless COPY."""
    assert not is_in_context(path, root / ".dockerignore")


@pytest.mark.parametrize("target", TARGETS)
def test_the_installed_extras_are_those_of_the_package(root: Path, service_image: Dockerfile, target: str) -> None:
    """Each target installs by the pins, with extras that exist, into an environment that has no pip."""
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    venv = next(each for each in service_image.stages[target].instructions if each.keyword == "COPY").flags["from"]
    commands = [each.text for each in service_image.lineage(venv) if each.keyword == "RUN"]

    assert "python -m venv --without-pip /opt/archrouter/venv" in commands[0]
    assert all("--constraint constraints.txt" in command for command in commands)
    assert all("./clients/python" in command for command in commands)
    installed = {extra for extra in commands[-1].partition('".[')[2].partition("]")[0].split(",") if extra}
    assert installed <= extras.keys()
    assert ("embedded" in installed) == (target == "embedded")


@pytest.mark.parametrize("target", TARGETS)
def test_what_runs_is_no_root_and_cannot_install_anything(service_image: Dockerfile, target: str) -> None:
    """The final image has neither root's rights nor pip, and its commands are not run by a shell."""
    runs = " ".join(each.text for each in service_image.lineage(target) if each.keyword == "RUN")

    assert "10001:10001" == service_image.last(target, "USER").text
    assert "pip uninstall --yes pip" in runs
    assert "install " not in runs.replace("uninstall", "")
    for keyword in ("ENTRYPOINT", "CMD"):
        assert service_image.last(target, keyword).text.startswith("[")


def test_an_engine_is_served_in_the_image_that_builds_it(root: Path, triton_image: Dockerfile) -> None:
    """It loads in no other, so the pipeline and the image that serves name the same one."""
    settings = tomllib.loads((root / "build" / "pipeline.toml").read_text(encoding="utf-8"))

    assert settings["toolkits"]["1.2.1"]["image"] in triton_image.base_images


def test_base_images_are_pinned(service_image: Dockerfile, triton_image: Dockerfile) -> None:
    """Every image that is pulled has a version, and the one that all of our own code runs on a digest."""
    images = service_image.base_images | triton_image.base_images

    assert 3 == len(images)
    assert [] == [image for image in images if ":" not in image or "latest" in image]
    assert all("@sha256:" in image for image in service_image.base_images)


@pytest.mark.parametrize("target", TARGETS)
def test_the_environment_is_settings_of_the_service(service_image: Dockerfile, target: str) -> None:
    """Each variable with the service's prefix is a setting, and the values load."""
    names = {name for name in service_image.environment(target) if name.startswith(ENV_PREFIX)}

    assert set() == names - {key.env for key in setting_keys()}
    assert (target == "embedded") == _settings(service_image, target).embedded.enabled


def test_the_embedded_image_has_the_model_it_loads(root: Path, service_image: Dockerfile) -> None:
    """The copied model is the one of the settings, in the folder of the settings."""
    settings = _settings(service_image, "embedded")
    copies = [each.words for each in service_image.stages["embedded"].instructions if each.keyword == "COPY"]
    workdir = service_image.last("embedded", "WORKDIR").text

    (source, target) = copies[-1]

    assert (root / source / "config.pbtxt").is_file()
    model = Path(settings.embedded.model_repository) / settings.triton.compact_model
    assert model == Path(workdir) / target


@pytest.mark.parametrize("target", TARGETS)
def test_the_exposed_ports_are_those_that_are_served(service_image: Dockerfile, target: str) -> None:
    """EXPOSE says gRPC and metrics, as the image's own settings do, on every interface of the container."""
    settings = _settings(service_image, target)

    assert {_port(settings.server.listen), _port(settings.metrics.listen)} == service_image.ports(target)
    assert settings.server.listen.startswith("0.0.0.0:")


@pytest.mark.parametrize("target", TARGETS)
def test_the_commands_are_commands_of_the_command_line(service_image: Dockerfile, target: str) -> None:
    """Entry point and health check name commands with options that exist."""
    entry = [*service_image.last(target, "ENTRYPOINT").words, *service_image.last(target, "CMD").words]

    for program, *arguments in (entry, service_image.health_command(target)):
        assert "archrouter" == program
        assert 0 == CliRunner().invoke(cli, [*arguments, "--help"]).exit_code


def test_the_health_check_asks_where_the_service_listens(service_image: Dockerfile) -> None:
    """The probe's default target is the port that the image serves on."""
    assert ["archrouter", "health"] == service_image.health_command("service")
    assert _port(DEFAULT_TARGET) == _port(_settings(service_image, "service").server.listen)


def test_triton_runs_without_root_and_is_asked_for_health_over_grpc(triton_image: Dockerfile) -> None:
    """HTTP is off, so the probe takes the gRPC port; metrics have the other one."""
    command = triton_image.last("final", "CMD").words
    program, address, *_ = triton_image.health_command("final")
    probe = next(each for each in triton_image.stages["final"].instructions if each.keyword == "COPY")

    assert "10001:10001" == triton_image.last("final", "USER").text
    assert program == Path(probe.words[-1]).name
    assert "-addr=127.0.0.1:8001" == address
    assert {8001, 8002} == triton_image.ports("final")
    assert "tritonserver" == command[0]
    assert "false" == flags_of(command)["--allow-http"]
    assert "true" == flags_of(command)["--allow-metrics"]
