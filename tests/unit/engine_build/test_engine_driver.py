"""The driver: each step once, what changed again, and a clear end wherever it has to stop."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from engine import build
from engine_workplace import Workplace, step_of
from toy_records import write_toy_records

from archrouter.bundles.manifest import read_manifest

ALL = ["fetch", "probe", "convert", "compile", "assemble", "verify"]


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
    assert ALL == workplace.ran
    assert text.out.endswith(f"{workplace.workspace / 'assemble'}: {version}\n")
    assert "did not run: calibrate; calibrate needs --records" in text.err


def test_verify_and_calibrate_are_called_as_agreed(workplace: Workplace, tmp_path: Path) -> None:
    """Their command lines are the contract with those programs."""
    records = tmp_path / "records"
    records.mkdir()
    workplace.build("--records", str(records), "--endpoint", "gpu:8001", "--model", "router")

    bundle = str(workplace.workspace / "assemble" / "bundle")
    verify, calibrate = workplace.runner.commands[-2:]
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
    assert 6 == text.err.count("unchanged, not run again")
    assert dict.fromkeys(ALL) == json.loads(text.out)["seconds"]


def test_touching_the_checkpoint_reads_it_again_and_makes_nothing_anew(workplace: Workplace) -> None:
    """Digests decide, not times."""
    workplace.build()
    (workplace.checkpoint / "model.safetensors").touch()

    workplace.build()

    assert ["fetch"] == workplace.ran


def test_a_download_is_kept_until_a_file_of_it_changes(workplace: Workplace) -> None:
    """Gigabytes are fetched once, and again where they were damaged."""
    workplace.source = ["owner/tiny", "--revision", "0" * 40]
    workplace.build("--until", "fetch")
    downloaded = workplace.workspace / "fetch" / "tiny"

    workplace.build("--until", "fetch")
    assert [] == workplace.ran
    (downloaded / "tokenizer.json").write_text("{}")
    workplace.build("--until", "fetch")
    assert ["fetch"] == workplace.ran
    assert (workplace.checkpoint / "tokenizer.json").read_text() == (downloaded / "tokenizer.json").read_text()


def test_changed_weights_make_everything_anew(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    """A release never mixes two checkpoints: the old probe would be refused as well."""
    workplace.build()
    path = workplace.checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    code = workplace.build()

    assert 2 == code
    assert ALL[:5] == workplace.ran
    assert "was probed with the weights" in capsys.readouterr().err


def test_a_changed_option_redoes_what_depends_on_it(workplace: Workplace) -> None:
    """Another precision takes other weights, engine and release, but not another probe."""
    workplace.build()

    workplace.build("--precision", "int8_wo")

    assert ["quantize", "compile", "assemble", "verify"] == workplace.ran


def test_an_output_that_was_cut_short_is_made_again(workplace: Workplace) -> None:
    """The engine's size is not the recorded one; what was made from it before is the same again."""
    workplace.build()
    (workplace.workspace / "compile" / "engine" / "rank0.engine").write_bytes(b"cut")

    workplace.build()

    assert ["compile"] == workplace.ran


def test_an_output_changed_in_place_is_made_again(workplace: Workplace) -> None:
    """The same size at another time is hashed."""
    workplace.build()
    path = workplace.workspace / "assemble" / "bundle" / "prompt_template.txt"
    path.write_text(path.read_text().upper())

    workplace.build()

    assert ["assemble"] == workplace.ran


def test_an_unreadable_state_counts_as_none(workplace: Workplace) -> None:
    """A build never trusts what it cannot read."""
    workplace.build()
    workplace.state("verify").write_text("{")

    workplace.build()

    assert ["verify"] == workplace.ran


@pytest.mark.parametrize(("code", "expected"), [(1, 1), (2, 2), (3, 3), (139, 1)])
def test_a_step_that_fails_ends_the_build_with_its_words(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], code: int, expected: int
) -> None:
    """The exit code tells bad input and a lacking machine from failure; the log is named."""
    workplace.failing = {"compile": code}

    assert expected == workplace.build()
    text = capsys.readouterr().err
    assert f"step compile ended with exit code {code} ({workplace.workspace / 'logs' / 'compile.log'})" in text
    assert "compile says why" in text
    assert ALL[:4] == workplace.ran
    assert not workplace.state("compile").exists()


def test_a_failed_step_is_the_first_of_the_next_run(workplace: Workplace) -> None:
    """What was done stays done."""
    workplace.failing = {"compile": 1}
    workplace.build()
    workplace.failing = {}

    assert 0 == workplace.build()
    assert ALL[3:] == workplace.ran


def test_outside_the_image_the_build_stops_at_the_first_step_that_needs_it(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3; the steps before are done, and no folder of the step is there."""
    workplace.tools = frozenset()

    assert 3 == workplace.build()
    assert ["fetch", "probe", "convert"] == workplace.ran
    assert "nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3 bash" in capfd.readouterr().err
    assert {".lock", "fetch", "fetch.state.json", "probe", "probe.state.json", "logs"} == {
        path.name for path in workplace.workspace.iterdir()
    }


def test_an_engine_that_is_not_served_cannot_be_verified(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, and the line that serves it."""
    workplace.is_served = False

    assert 3 == workplace.build()
    text = capsys.readouterr().err
    assert ALL[:5] == workplace.ran
    assert "no model tensorrt_llm is ready at 127.0.0.1:8001" in text
    assert f'-v "{workplace.workspace}/assemble/bundle:/opt/archrouter/bundle:ro"' in text


def test_a_build_can_end_early_and_says_what_did_not_run(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is called verified that was not."""
    assert 0 == workplace.build("--until", "assemble")
    assert ALL[:5] == workplace.ran
    assert "did not run: verify, calibrate" in capsys.readouterr().err
    assert 2 == workplace.build("--until", "bake")
    assert "there is no step 'bake' in this build; it has fetch, probe, convert" in capsys.readouterr().err


def test_containers_are_asked_for_where_the_image_is_needed_only(workplace: Workplace) -> None:
    """The switch changes where a tool runs, not what is made: it is not part of a step's identity."""
    workplace.build("--container", "docker")
    containers = [step_of(c) for c in workplace.runner.commands if c[-2:] == ("--container", "docker")]

    assert ["convert", "compile"] == containers
    workplace.build()
    assert [] == workplace.ran


def test_fp8_renders_its_calibration_prompts_first(
    workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few of them end the build before anything is quantised."""
    records = write_toy_records(tmp_path / "records", 1)

    assert 2 == workplace.build("--precision", "fp8", "--prompt-records", str(records))
    assert ["fetch", "probe", "prompts"] == workplace.ran
    assert "has 1 labelled turns, calibration takes 512" in capsys.readouterr().err


def test_a_full_disk_is_seen_before_a_step_starts(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has what is needed and what is there."""
    usage = shutil.disk_usage(workplace.checkpoint)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1_000_000))

    assert 1 == workplace.build()
    assert "probe writes about 2.7 MB, 1.0 MB are free" in capsys.readouterr().err
    assert ["fetch"] == workplace.ran


def test_two_builds_do_not_share_a_workspace(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    """The second one is refused while the first runs."""
    codes: list[int] = []
    inner = workplace.runner._run

    def run(command: Sequence[str], on_line: Callable[[str], None]) -> int:
        if not codes:
            codes.append(
                build.main(["--checkpoint", str(workplace.checkpoint), "--workspace", str(workplace.workspace)])
            )
        return inner(command, on_line)

    workplace.runner._run = run

    assert 0 == workplace.build()
    assert [1] == codes
    assert "another build runs in" in capsys.readouterr().err


def test_what_a_killed_step_left_half_written_is_removed(workplace: Workplace) -> None:
    """Its scratch folder has a name of its own beside the output."""
    workplace.workspace.mkdir()
    scratch = workplace.workspace / ".compile-x1y2"
    scratch.mkdir()
    (scratch / "rank0.engine").write_bytes(b"half")

    assert 0 == workplace.build()
    assert not scratch.exists()
