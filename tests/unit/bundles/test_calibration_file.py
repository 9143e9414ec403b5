"""Writing and reading a bundle's calibration."""

import json
import stat
from pathlib import Path

import pytest

from archrouter.bundles.calibration_file import (
    CalibrationFile,
    Evidence,
    Figures,
    read_calibration,
    write_calibration,
)
from archrouter.bundles.manifest import BundleError
from archrouter.domain.posterior import Calibration, IsotonicMap
from archrouter.domain.scoring import CalibrationReference

VERSION = "sha256:" + "a" * 64
FIGURES = Figures(log_loss=0.5, brier_score=0.1, expected_calibration_error=0.05, area_under_risk_coverage=0.1)
EVIDENCE = Evidence(
    data_digest="sha256:" + "b" * 64,
    conversation_count=250,
    fold_count=5,
    accuracy=0.8,
    uncalibrated=FIGURES,
    cross_validated={"temperature": FIGURES, "isotonic": FIGURES},
)
REFERENCE = CalibrationReference((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), 0.25, 0.5)
CALIBRATIONS = [
    Calibration(1.25, 300),
    Calibration(1.0, 300, IsotonicMap((0.0, 0.25, 1.0), (0.0, 0.125, 0.875))),
]


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=["temperature", "isotonic"])
def test_a_written_calibration_is_read_as_it_was(tmp_path: Path, calibration: Calibration) -> None:
    """Both kinds, bit by bit."""
    written = write_calibration(tmp_path, CalibrationFile.of(calibration, VERSION, EVIDENCE, REFERENCE))

    assert (calibration, REFERENCE) == read_calibration(tmp_path, VERSION)
    assert [written] == list(tmp_path.iterdir())
    assert 0o644 == stat.S_IMODE(written.stat().st_mode)


def test_a_calibration_replaces_an_earlier_one(tmp_path: Path) -> None:
    """The latest counts."""
    for calibration in CALIBRATIONS:
        write_calibration(tmp_path, CalibrationFile.of(calibration, VERSION, EVIDENCE))

    assert (CALIBRATIONS[-1], None) == read_calibration(tmp_path, VERSION)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs no calibration and leaves no scratch file."""
    write_calibration(tmp_path, CalibrationFile.of(CALIBRATIONS[0], VERSION, EVIDENCE))

    def fail(_descriptor: int) -> None:
        msg = "no space left"
        raise OSError(msg)

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(OSError, match="no space left"):
        write_calibration(tmp_path, CalibrationFile.of(CALIBRATIONS[1], VERSION, EVIDENCE))
    assert (CALIBRATIONS[0], None) == read_calibration(tmp_path, VERSION)
    assert 1 == len(list(tmp_path.iterdir()))


def test_no_file_is_no_calibration(tmp_path: Path) -> None:
    """Nothing measured, nothing claimed."""
    calibration, reference = read_calibration(tmp_path, VERSION)

    assert not calibration.is_fitted
    assert reference is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "model_version"),
        ({"temperature": 0.0}, "temperature: "),
        ({"kind": "platt"}, "kind: "),
        ({"kind": "temperature"}, "without a temperature"),
        ({"kind": "isotonic"}, "with 0 knots"),
        ({"temperature": 1.0, "knots": [{"input": 0, "output": 0}, {"input": 1, "output": 1}]}, "with 2 knots"),
        ({"kind": "isotonic", "knots": [{"input": 0, "output": 0.2}, {"input": 1, "output": 0.1}]}, "outputs must be"),
        ({"temperature": 1.0, "extra": 1}, "extra: "),
    ],
)
def test_a_file_that_fits_no_kind_is_refused(tmp_path: Path, content: dict[str, object], told: str) -> None:
    """The field that is wrong is named."""
    whole = {"model_version": VERSION, "sample_count": 300, **content} if content else {}
    (tmp_path / "calibration.json").write_text(json.dumps(whole))

    with pytest.raises(BundleError, match=told):
        read_calibration(tmp_path, VERSION)


def test_a_calibration_of_another_version_is_refused(tmp_path: Path) -> None:
    """The message names both versions and what to do."""
    write_calibration(tmp_path, CalibrationFile.of(CALIBRATIONS[1], VERSION, EVIDENCE))

    with pytest.raises(BundleError, match=f"measured on {VERSION}, this bundle is sha256:ccc; remove it or calibrate"):
        read_calibration(tmp_path, "sha256:ccc")
