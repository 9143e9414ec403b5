"""`protos/generate.py`: stale stubs are found and named, and nothing written by hand is touched."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "clients" / "python" / "archrouter" / "v1"


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Copy the committed stubs, so that a test may spoil them."""
    return Path(shutil.copytree(COMMITTED, tmp_path / "v1", ignore=shutil.ignore_patterns("__pycache__")))


def _generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "protos" / "generate.py", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_check_passes_on_the_committed_stubs() -> None:
    """The committed stubs are what the protos give."""
    result = _generate("--check")

    assert (0, "") == (result.returncode, result.stderr)


def test_check_names_stale_stubs_and_the_remedy(stubs: Path) -> None:
    """A changed, a missing and a superfluous stub are each named, nothing is repaired, and the remedy is given."""
    (stubs / "decision_pb2.py").write_text("changed by hand\n", encoding="utf-8")
    (stubs / "policy_pb2.pyi").unlink()
    (stubs / "gone_pb2.py").touch()

    result = _generate("--check", "--stubs", stubs)

    assert 1 == result.returncode
    assert ["  decision_pb2.py", "  gone_pb2.py", "  policy_pb2.pyi"] == result.stderr.splitlines()[1:-1]
    assert "make proto" in result.stderr.splitlines()[-1]
    assert "changed by hand\n" == (stubs / "decision_pb2.py").read_text(encoding="utf-8")


def test_generation_repairs_stubs_and_keeps_what_is_written_by_hand(stubs: Path) -> None:
    """Stale stubs are replaced, stubs of no proto are deleted, and the package's own module stays as it is."""
    (stubs / "__init__.py").write_text("by hand\n", encoding="utf-8")
    (stubs / "decision_pb2.py").write_text("changed by hand\n", encoding="utf-8")
    (stubs / "gone_pb2.py").touch()

    result = _generate("--stubs", stubs)

    assert 0 == result.returncode
    assert (COMMITTED / "decision_pb2.py").read_bytes() == (stubs / "decision_pb2.py").read_bytes()
    assert not (stubs / "gone_pb2.py").exists()
    assert "by hand\n" == (stubs / "__init__.py").read_text(encoding="utf-8")


def test_generation_fails_on_a_folder_without_protos(tmp_path: Path) -> None:
    """A wrong folder is an error that names the flag, not an empty set of stubs."""
    result = _generate("--protos", tmp_path, "--stubs", tmp_path)

    assert 1 == result.returncode
    assert "--protos" in result.stderr
