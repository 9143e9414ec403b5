"""config.pbtxt, manifest.json and the files of the version folder belong together."""

import hashlib
import json
from pathlib import Path

import pytest
from compact_model.digest import file_digests, model_version
from compact_model.encoder import OTHER_LANGUAGES
from compact_model.parameters import read_parameters
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

MAX_ARTEFACT_BYTES = 95_000_000
MAX_NETWORK_BYTES = 70_000_000
TENSORS = {
    "conversation": ("TYPE_STRING", [1]),
    "candidates": ("TYPE_STRING", [-1]),
    "scores": ("TYPE_FP32", [-1]),
    "prompt_token_count": ("TYPE_INT32", [1]),
    "dropped_message_count": ("TYPE_INT32", [1]),
    "dropped_token_count": ("TYPE_INT32", [1]),
}


@pytest.fixture(scope="module")
def config(model_directory: Path) -> model_config_pb2.ModelConfig:
    """Parse config.pbtxt with Triton's own protobuf."""
    text = (model_directory / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def parameter(config: model_config_pb2.ModelConfig, key: str) -> str:
    """Return a parameter's value."""
    value: str = config.parameters[key].string_value
    return value


def test_the_config_names_the_digest_of_the_files(config: model_config_pb2.ModelConfig, model_directory: Path) -> None:
    """Whoever changes a file has stamped the folder again; otherwise the model would not load."""
    assert model_version(file_digests(model_directory / "1")) == parameter(config, "model_version")


def test_the_manifest_names_the_digest_of_each_file(model_directory: Path) -> None:
    """The manifest agrees with the files, and with the version in config.pbtxt by way of them."""
    manifest = json.loads((model_directory / "manifest.json").read_text(encoding="utf-8"))
    digests = file_digests(model_directory / "1")

    assert {name: f"sha256:{digest}" for name, digest in digests.items()} == manifest["files"]
    assert model_version(digests) == manifest["model_version"]


def test_the_config_repeats_what_router_json_says(config: model_config_pb2.ModelConfig, model_directory: Path) -> None:
    """The service reads calibration, window and tokenizer from config.pbtxt; the model has them in its files."""
    directory = model_directory / "1"
    router = json.loads((directory / "router.json").read_text(encoding="utf-8"))
    calibration = router["calibration"]
    tokenizer = hashlib.sha256((directory / "tokenizer.json").read_bytes()).hexdigest()

    assert calibration == json.loads(parameter(config, "calibration"))
    assert router["calibration_reference"] == json.loads(parameter(config, "calibration_reference"))
    assert {"kind", "temperature", "sample_count"} == set(calibration)
    assert calibration["sample_count"] > 0
    limits = read_parameters(directory / "router.json")
    assert str(limits.max_token_count) == parameter(config, "max_prompt_token_count")
    assert f"sha256:{tokenizer}" == parameter(config, "tokenizer_digest")


def test_the_config_promises_the_contracts_tensors(config: model_config_pb2.ModelConfig) -> None:
    """Name, type and dims of every tensor, without a batch dimension, on one instance on the CPU."""
    found = {
        tensor.name: (model_config_pb2.DataType.Name(tensor.data_type), list(tensor.dims))
        for tensor in (*config.input, *config.output)
    }

    assert TENSORS == found
    assert 0 == config.max_batch_size
    assert ["KIND_CPU"] == [
        model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group
    ]
    assert ["compact_router", "python"] == [config.name, config.backend]


@pytest.mark.parametrize("cache", ["__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"])
def test_the_version_changes_with_any_file_but_not_with_caches(tmp_path: Path, cache: str) -> None:
    """A renamed, changed or added file is another model; what Python and its tools write beside it is not."""
    (tmp_path / "a.py").write_text("1")
    before = model_version(file_digests(tmp_path))
    (tmp_path / cache / "3.11").mkdir(parents=True)
    (tmp_path / cache / "3.11" / "a").write_text("compiled")
    with_cache = model_version(file_digests(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = model_version(file_digests(tmp_path))
    (tmp_path / "b.py").write_text("2")
    changed = model_version(file_digests(tmp_path))

    assert before == with_cache
    assert 3 == len({before, renamed, changed})


def test_the_artefact_is_small(model_directory: Path) -> None:
    """Neither what reads English nor what reads other languages takes more than 70 MB."""
    sizes = {name: (model_directory / "1" / name).stat().st_size for name in file_digests(model_directory / "1")}
    others = sum(size for name, size in sizes.items() if name.startswith(OTHER_LANGUAGES))

    assert sum(sizes.values()) <= MAX_ARTEFACT_BYTES
    assert max(others, sum(sizes.values()) - others) <= MAX_NETWORK_BYTES


@pytest.mark.parametrize("name", ["encoder.onnx", "reader.onnx", f"{OTHER_LANGUAGES}/encoder.onnx"])
def test_a_graph_names_no_path_of_the_machine_that_made_it(model_directory: Path, name: str) -> None:
    """The exporter's stack traces were stripped before quantisation."""
    graph = (model_directory / "1" / name).read_bytes()

    assert b"site-packages" not in graph
    assert b"stack_trace" not in graph
