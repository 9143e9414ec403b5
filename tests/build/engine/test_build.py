"""The build: each step once, what changed again, and a clear end wherever it has to stop."""

import json
from pathlib import Path

import pytest
from engine import build
from tests.support.engine_workplace import Workplace, step_of
from tests.support.stand_in_toolkit import mounts_of
from tests.support.toy_records import write_toy_records

from archrouter.bundles.manifest import read_manifest

RAN = ["probe", "convert", "compile", "assemble", "verify"]
STEPS = ["fetch", *RAN]


@pytest.fixture
def workplace(
    own_checkpoint: Path, probed: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Workplace:
    """Give a workplace whose commands run in the repository's root."""
    monkeypatch.chdir(root)
    return Workplace(own_checkpoint, probed, tmp_path / "workspace")


def test_all_steps_run_in_order_and_give_a_release(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line names the bundle's digest; what did not run is said."""
    code = workplace.build()

    version = read_manifest(workplace.workspace / "assemble" / "bundle")[1]
    text = capsys.readouterr()
    assert 0 == code
    assert RAN == workplace.ran
    assert text.out.endswith(f"{workplace.workspace / 'assemble'}: {version}\n")
    assert "did not run: calibrate; calibrate needs --records" in text.err


def test_a_tool_sees_the_checkpoint_and_its_own_output(workplace: Workplace) -> None:
    """Each in a container of its own; the compiler gets what the script before it wrote, and the GPU is recorded."""
    workplace.build("--until", "compile")

    convert, compiling = (mounts_of(command) for command in workplace.commands if command[0] == "docker")
    folder = workplace.workspace
    assert {"/mnt/checkpoint": workplace.checkpoint, "/mnt/output": folder / "convert"} == convert
    assert {"/mnt/tensors": folder / "convert", "/mnt/output": folder / "compile" / "engine"} == compiling
    assert workplace.gpu == (folder / "compile" / "gpu.csv").read_text()


def test_verify_and_calibrate_are_called_as_agreed(workplace: Workplace, tmp_path: Path) -> None:
    """Their command lines are the contract with those programs."""
    records = tmp_path / "records"
    records.mkdir()
    workplace.build("--records", str(records), "--endpoint", "gpu:8001", "--model", "router")

    bundle = str(workplace.workspace / "assemble" / "bundle")
    verify, calibrate = workplace.commands[-2:]
    assert (
        *("-m", "engine.verify", "--endpoint", "gpu:8001", "--model", "router", "--bundle", bundle),
        *("--checkpoint", str(workplace.checkpoint), "--output", str(workplace.workspace / "verify")),
    ) == verify[1:]
    assert (
        *("-m", "engine.calibrate", "--endpoint", "gpu:8001", "--model", "router", "--bundle", bundle),
        *("--records", str(records)),
    ) == calibrate[1:]


def test_a_second_run_does_nothing(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    """Unchanged steps are not run again, and are not called new."""
    workplace.build()
    capsys.readouterr()

    code = workplace.build("--json")

    text = capsys.readouterr()
    assert 0 == code
    assert [] == workplace.ran
    assert len(STEPS) == text.err.count("unchanged, not run again")
    assert ["calibrate"] == json.loads(text.out)["not_run"]


def test_a_download_is_kept(workplace: Workplace) -> None:
    """Gigabytes are fetched once."""
    workplace.source = ["owner/tiny", "--revision", "0" * 40]
    workplace.build("--until", "fetch")
    downloaded = workplace.workspace / "fetch" / "tiny" / "tokenizer.json"
    before = downloaded.stat().st_mtime_ns

    assert 0 == workplace.build("--until", "fetch")
    assert before == downloaded.stat().st_mtime_ns


def test_changed_weights_make_everything_anew(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    """A release never mixes two checkpoints: the old probe would be refused as well."""
    workplace.build()
    path = workplace.checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    code = workplace.build()

    assert 2 == code
    assert RAN[:4] == workplace.ran
    assert "was probed with the weights" in capsys.readouterr().err


def test_a_changed_option_redoes_what_depends_on_it(workplace: Workplace) -> None:
    """Another precision takes other weights, engine and release, but not another probe."""
    workplace.build()

    workplace.build("--precision", "int8_wo")

    assert ["quantize", "compile", "assemble", "verify"] == workplace.ran


def test_a_removed_output_is_made_again(workplace: Workplace) -> None:
    """What was made from it stays."""
    workplace.build()
    (workplace.workspace / "verify").rmdir()

    workplace.build()

    assert ["verify"] == workplace.ran


@pytest.mark.parametrize(("code", "expected"), [(1, 1), (2, 2), (3, 3), (139, 1)])
def test_a_step_that_fails_ends_the_build(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], code: int, expected: int
) -> None:
    """The exit code tells bad input and a lacking machine from failure."""
    workplace.failing = {"compile": code}

    assert expected == workplace.build()
    assert f"step compile ended with exit code {code}; see its output above" in capsys.readouterr().err
    assert RAN[:3] == workplace.ran


def test_a_failed_step_is_the_first_of_the_next_run(workplace: Workplace) -> None:
    """What was done stays done; what the failed step left is removed first."""
    workplace.failing = {"compile": 1}
    workplace.build()
    workplace.failing = {}

    assert 0 == workplace.build()
    assert RAN[2:] == workplace.ran


def test_a_tool_that_ends_well_without_its_work_is_found_by_the_next_step(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A good exit code alone is no success."""
    workplace.failing = {"compile": 0}

    assert 1 == workplace.build()
    assert "rank0.engine is missing or empty; compile again" in capsys.readouterr().err


def test_a_machine_that_lacks_something_stops_before_the_first_step_that_needs_it(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 with all that is missing; the steps before are done, and no folder of the step is there."""
    workplace.has_docker, workplace.gpu = False, ""

    assert 3 == workplace.build()
    text = capsys.readouterr().err
    assert "  - docker\n  - an NVIDIA GPU (nvidia-smi does not answer)\n" in text
    assert "It runs in the image nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3 (14.2 GB)" in text
    assert {"fetch", "fetch.digest", "probe", "probe.digest"} == {path.name for path in workplace.workspace.iterdir()}


def test_an_old_driver_is_named(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    """The toolkit for CUDA 12.9 takes what the newer one refuses."""
    workplace.gpu = "NVIDIA L40S, 8.9, 575.57.08\n"

    assert 3 == workplace.build("--until", "convert")
    assert "an NVIDIA driver of 580 or newer (this is 575.57.08)" in capsys.readouterr().err
    assert 0 == workplace.build("--until", "convert", "--toolkit", "1.0.0")


def test_a_precision_the_gpu_cannot_run_is_refused_before_the_tool_starts(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """INT8 weights on Blackwell end with exit code 2."""
    workplace.gpu = "NVIDIA B200, 10.0, 590.44.01\n"

    assert 2 == workplace.build("--precision", "int8_wo")
    assert "SM 100 to 119" in capsys.readouterr().err
    assert ["probe"] == workplace.ran


def test_inside_the_image_the_build_says_at_once_that_it_runs_on_the_host(
    workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is fetched or converted."""
    monkeypatch.setattr(build, "INSIDE_IMAGE", tmp_path)

    assert 3 == workplace.build()
    assert "the build runs on the host only" in capsys.readouterr().err
    assert not workplace.workspace.exists()


def test_an_engine_that_is_not_served_cannot_be_verified(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, and the line that serves it."""
    workplace.is_served = False

    assert 3 == workplace.build()
    text = capsys.readouterr().err
    assert RAN[:4] == workplace.ran
    assert "no model tensorrt_llm is ready at 127.0.0.1:8001" in text
    assert f'-v "{workplace.workspace}/assemble/bundle:/opt/archrouter/bundle:ro"' in text


def test_a_build_can_end_early_and_says_what_did_not_run(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is called verified that was not."""
    assert 0 == workplace.build("--until", "assemble")
    assert RAN[:4] == workplace.ran
    assert "did not run: verify, calibrate" in capsys.readouterr().err
    assert 2 == workplace.build("--until", "bake")
    assert "there is no step 'bake' in this build; it has fetch, probe, convert" in capsys.readouterr().err


def test_fp8_renders_its_calibration_prompts_first(
    workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few of them end the build before anything is quantised; enough of them are mounted."""
    few, enough = (write_toy_records(tmp_path / name, count) for name, count in (("few", 1), ("enough", 40)))

    assert 2 == workplace.build("--precision", "fp8", "--prompt-records", str(few))
    assert ["probe"] == workplace.ran
    assert "has 1 labelled turns" in capsys.readouterr().err
    assert 0 == workplace.build("--precision", "int4_awq", "--prompt-records", str(enough), "--until", "quantize")
    (quantize,) = (command for command in workplace.commands if step_of(command) == "quantize")
    assert workplace.workspace / "prompts" == mounts_of(quantize)["/mnt/prompts"]
