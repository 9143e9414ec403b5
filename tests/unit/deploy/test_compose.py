"""The Compose files: valid by the specification, and each path, port, variable and flag one that exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from google.protobuf import text_format
from tests.support.deployment import (
    REQUIRED_VARIABLES,
    Dockerfile,
    Document,
    VariableMissingError,
    flags_of,
    mounts,
    read_compose,
    variable_names,
)
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.config import ENV_PREFIX, Settings
from archrouter.config_sources import load_settings, setting_keys

_DIGEST = re.compile("@sha256:[0-9a-f]{64}")

SERVICE_PROTOCOLS = {"health", "inference", "metadata", "model-config"}
"""Groups of Triton's protocols that the service calls."""

TRITON_PROTOCOLS = SERVICE_PROTOCOLS | {"model-repository", "shared-memory", "statistics", "trace", "logging"}
"""All groups, as tritonserver --help lists them."""


@pytest.fixture(params=["gpu", "cpu"])
def service(request: pytest.FixtureRequest, gpu_host: Document, cpu_host: Document) -> Document:
    """Return the service's container, with a GPU and without."""
    container: Document = {"gpu": gpu_host, "cpu": cpu_host}[request.param]["services"]["archrouter"]
    return container


def _settings(service: Document, image: Dockerfile) -> Settings:
    return load_settings({}, None, {**image.environment(service["build"]["target"]), **service["environment"]})


def _seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def _images(host: Document) -> list[str]:
    return [service["image"] for service in host["services"].values() if "build" not in service]


@pytest.mark.parametrize(("name", "variables"), [("compose.yaml", REQUIRED_VARIABLES), ("compose.cpu.yaml", {})])
def test_the_file_obeys_the_specification(deploy: Path, name: str, variables: dict[str, str]) -> None:
    """No unknown key, no malformed value, and each network and volume that is named is defined."""
    text = yaml.safe_dump(read_compose(deploy / name, variables))
    text = _DIGEST.sub("", text)  # the parser takes a tag or a digest; Docker takes both

    composed = PyCompose.from_yaml(text)
    composed.validate()

    assert "archrouter" in composed.service_names()


@pytest.mark.parametrize("missing", sorted(REQUIRED_VARIABLES))
def test_a_missing_variable_is_named_with_the_remedy(deploy: Path, missing: str) -> None:
    """Nothing starts with an empty path, password or key."""
    variables = {name: value for name, value in REQUIRED_VARIABLES.items() if name != missing}

    with pytest.raises(VariableMissingError, match=rf"set {missing} in deploy/\.env"):
        read_compose(deploy / "compose.yaml", variables)


def test_the_example_has_every_variable_and_no_other(deploy: Path) -> None:
    """Whoever fills the example in has set everything there is."""
    lines = (deploy / ".env.example").read_text(encoding="utf-8").splitlines()
    named = {line.removeprefix("# ").partition("=")[0] for line in lines if "=" in line}

    used = variable_names(deploy / "compose.yaml")

    assert used == named
    assert variable_names(deploy / "compose.cpu.yaml") <= used


def test_no_variable_of_the_file_is_mistaken_for_a_setting(deploy: Path) -> None:
    """A setting is given in the container's environment, where a typo is an error."""
    assert [] == [name for name in variable_names(deploy / "compose.yaml") if name.startswith(ENV_PREFIX)]


def test_everything_that_is_built_or_mounted_from_here_exists(
    deploy: Path, gpu_host: Document, cpu_host: Document
) -> None:
    """Contexts, Dockerfiles and mounted folders are in the repository."""
    services = [service for host in (gpu_host, cpu_host) for service in host["services"].values()]
    builds = [service["build"] for service in services if "build" in service]
    sources = [source for service in services for source in mounts(service).values() if source.startswith(".")]

    assert [] == [build for build in builds if not (deploy / build["context"] / build["dockerfile"]).is_file()]
    assert [] == [source for source in sources if not (deploy / source).is_dir()]


def test_mounts_are_read_only_and_never_created(gpu_host: Document, cpu_host: Document) -> None:
    """A container cannot change what is on the host, and a wrong path is an error instead of an empty folder."""
    services = [service for host in (gpu_host, cpu_host) for service in host["services"].values()]
    binds = [mount for service in services for mount in service["volumes"] if mount["type"] == "bind"]

    assert binds
    assert [] == [mount for mount in binds if not mount["read_only"] or mount["bind"]["create_host_path"]]


def test_the_environment_is_settings_of_the_service(service: Document, service_image: Dockerfile) -> None:
    """Each variable is a setting, and together with the image's own they load."""
    known = {key.env for key in setting_keys()}

    assert set() == service["environment"].keys() - known
    assert service["build"]["target"] in service_image.stages
    assert _settings(service, service_image).metrics.listen


def test_the_policies_are_mounted_where_the_service_looks(service: Document, service_image: Dockerfile) -> None:
    """By default they are the samples of this repository."""
    settings = _settings(service, service_image)

    assert "../examples/policies" == mounts(service)[settings.policies.directory]


def test_the_published_port_is_the_one_served(service: Document, service_image: Dockerfile) -> None:
    """GRPC is published, on the loopback interface unless LISTEN says otherwise."""
    (published,) = service["ports"]

    assert "127.0.0.1:50051:50051" == published
    assert _settings(service, service_image).server.listen.endswith(":50051")


def test_a_server_open_to_its_host_says_so(service: Document, service_image: Dockerfile) -> None:
    """The port is published on this host only, so the service starts without callers; the image alone does not."""
    target = service["build"]["target"]

    assert _settings(service, service_image).auth.allow_unauthenticated
    assert not load_settings({}, None, service_image.environment(target)).auth.allow_unauthenticated


def test_running_calls_end_before_the_container_is_killed(service: Document, service_image: Dockerfile) -> None:
    """The stop waits longer than the drain delay and the grace together."""
    server = _settings(service, service_image).server

    assert _seconds(service["stop_grace_period"]) > server.drain_delay_s + server.shutdown_grace_s


def test_containers_of_ours_have_no_rights_they_do_not_need(service: Document, gpu_host: Document) -> None:
    """No capability, no new privileges, and for the service no writable path but /tmp, which Triton's Python needs."""
    for container in (service, *gpu_host["services"].values()):
        assert ["ALL"] == container["cap_drop"]
        assert ["no-new-privileges:true"] == container["security_opt"]
    assert service["read_only"]
    assert ["/tmp"] == service["tmpfs"]


def test_service_and_triton_share_network_endpoint_and_bundle(
    gpu_host: Document, service_image: Dockerfile, triton_image: Dockerfile
) -> None:
    """The service calls the container by a port it opens, in engine mode, with the bundle that Triton serves."""
    service, triton = gpu_host["services"]["archrouter"], gpu_host["services"]["triton"]
    settings = _settings(service, service_image)
    host, _, port = settings.triton.endpoint.partition(":")

    assert ("engine", False) == (settings.routing.mode, settings.embedded.enabled)
    assert gpu_host["services"][host] is triton
    assert int(port) in triton_image.ports("final")
    assert set(service["networks"]) >= set(triton["networks"])
    bundle = settings.triton.bundle_directory
    assert f"{REQUIRED_VARIABLES['ENGINE_DIRECTORY']}/bundle" == mounts(service)[bundle] == mounts(triton)[bundle]


def test_the_engine_is_where_the_model_configuration_says(root: Path, gpu_host: Document) -> None:
    """gpt_model_path lies in the mounted bundle, and the model repository is mounted where the flag says."""
    triton = gpu_host["services"]["triton"]
    config = ModelConfig()
    text_format.Parse((root / "model_repository" / "tensorrt_llm" / "config.pbtxt").read_text("utf-8"), config)
    engine = Path(config.parameters["gpt_model_path"].string_value)

    assert str(engine.parent) in mounts(triton)
    assert flags_of(triton["command"])["--model-repository"] in mounts(triton)


def test_triton_runs_the_command_of_its_image_and_restricts_what_nobody_needs(
    gpu_host: Document, triton_image: Dockerfile
) -> None:
    """The one flag more asks a key for administration; all that the service calls stays open."""
    *command, restriction = gpu_host["services"]["triton"]["command"]
    protocols, _, key = flags_of([restriction])["--grpc-restricted-protocol"].partition(":")

    assert triton_image.last("final", "CMD").words == command
    assert f"admin={REQUIRED_VARIABLES['TRITON_ADMIN_KEY']}" == key
    assert set() == set(protocols.split(",")) - TRITON_PROTOCOLS
    assert set() == set(protocols.split(",")) & SERVICE_PROTOCOLS


def test_nothing_outside_reaches_triton(gpu_host: Document) -> None:
    """It publishes no port, and its one network has no way out."""
    triton = gpu_host["services"]["triton"]

    assert "ports" not in triton
    assert [{"internal": True}] == [gpu_host["networks"][name] for name in triton["networks"]]


def test_triton_has_a_gpu_shared_memory_and_time_to_stop(gpu_host: Document) -> None:
    """What NVIDIA's containers need beyond Docker's defaults is there."""
    triton: dict[str, Any] = gpu_host["services"]["triton"]
    (device,) = triton["deploy"]["resources"]["reservations"]["devices"]

    assert {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]} == device
    assert "2gb" == triton["shm_size"]
    assert {"memlock": -1, "stack": 64 * 1024 * 1024} == triton["ulimits"]
    exit_timeout_s = float(flags_of(triton["command"])["--exit-timeout-secs"])
    assert _seconds(triton["stop_grace_period"]) > exit_timeout_s


def test_the_embedded_triton_has_shared_memory(cpu_host: Document) -> None:
    """Its Python model talks through /dev/shm."""
    assert "1gb" == cpu_host["services"]["archrouter"]["shm_size"]


def test_what_is_pulled_is_pinned_by_digest_and_published_on_loopback(gpu_host: Document) -> None:
    """Prometheus and Grafana are the images that were chosen, and no page of theirs is on the network."""
    images = _images(gpu_host)
    published = [port for name in ("prometheus", "grafana") for port in gpu_host["services"][name]["ports"]]

    assert 2 == len(images)
    assert [] == [image for image in images if "@sha256:" not in image]
    assert [] == [port for port in published if not port.startswith("127.0.0.1:")]
