"""What a calibration is worth, for the bundle, for machines and for people."""

import json
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.calibration_file import CalibrationFile, Evidence, Figures
from archrouter.domain.posterior import Calibration
from archrouter.evaluation.charts import reliability_plot, render_svg, risk_coverage_plot
from engine.calibrate.decisions import Choice, Measured
from engine.verify.report import write_files

JSON_FILE, MARKDOWN_FILE = "calibration_report.json", "calibration_report.md"


@dataclass(frozen=True, slots=True)
class Report:
    """A calibration and how it came about."""

    model_version: str
    data_digest: str
    left_out: tuple[str, ...]
    choice: Choice

    @property
    def chosen(self) -> Measured:
        """The figures of the kind that was taken, on decisions it was not fitted on."""
        return self.choice.cross_validated[self.choice.kind]

    def file(self) -> CalibrationFile:
        """Return what goes into the bundle."""
        choice = self.choice
        evidence = Evidence(
            data_digest=self.data_digest,
            conversation_count=choice.conversation_count,
            fold_count=choice.fold_count,
            accuracy=_accuracy(choice.uncalibrated),
            uncalibrated=_figures(choice.uncalibrated),
            cross_validated={
                "temperature": _figures(choice.cross_validated["temperature"]),
                "isotonic": _figures(choice.cross_validated["isotonic"]),
            },
        )
        return CalibrationFile.of(choice.calibration, self.model_version, evidence, choice.reference)

    def document(self) -> dict[str, object]:
        """Return what JSON can hold."""
        return {
            "format": 1,
            "reason": self.choice.reason,
            "left_out": list(self.left_out),
            "calibration": self.file().model_dump(exclude_none=True),
        }

    def markdown(self) -> str:
        """Return a table of the figures."""
        choice = self.choice
        rows = {"uncalibrated": choice.uncalibrated, **choice.cross_validated}
        data = f"{choice.calibration.sample_count} of {choice.conversation_count} conversations"
        lines = [
            f"# Calibration: {choice.kind}",
            "",
            f"- model_version: {self.model_version}",
            f"- decisions: {data}, {_accuracy(choice.uncalibrated):.1%} right, {self.data_digest}",
            f"- left out because this model cannot take their policies: {len(self.left_out)}",
            f"- chosen by {choice.fold_count}-fold cross-validation: {choice.reason}",
            f"- {_described(choice.calibration)}",
            "",
            "| confidence | log loss | Brier score | calibration error (15 bins) | area under risk-coverage |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {name} | {one.log_loss:.4f} | {one.confidence.brier_score:.4f} "
                f"| {one.confidence.expected_calibration_error:.4f} | {one.confidence.area_under_risk_coverage:.4f} |"
                for name, one in rows.items()
            ),
            "",
            "The last two rows are of decisions that the map was not fitted on. 0 is best in every column.",
        ]
        return "\n".join(lines) + "\n"

    def write(self, directory: Path) -> None:
        """Write the report and its pictures; the JSON last, so that it is there only when all is."""
        calibrated, uncalibrated = self.chosen.confidence, self.choice.uncalibrated.confidence
        contents = {
            "risk_coverage.svg": render_svg(risk_coverage_plot(calibrated)),
            "reliability_before.svg": render_svg(reliability_plot(uncalibrated)),
            "reliability_after.svg": render_svg(reliability_plot(calibrated)),
            MARKDOWN_FILE: self.markdown(),
            JSON_FILE: json.dumps(self.document(), indent=1) + "\n",
        }
        write_files(directory, contents)


def _described(calibration: Calibration) -> str:
    if calibration.isotonic is not None:
        return f"isotonic map: {len(calibration.isotonic.inputs)} knots"
    return f"temperature: {calibration.temperature:.3f}"


def _accuracy(measured: Measured) -> float:
    """Read the accuracy off the curve's end: no calibration changes which candidate leads."""
    return 1 - measured.confidence.curve[-1].risk


def _figures(measured: Measured) -> Figures:
    found = measured.confidence
    return Figures(
        log_loss=measured.log_loss,
        brier_score=found.brier_score,
        expected_calibration_error=found.expected_calibration_error,
        area_under_risk_coverage=found.area_under_risk_coverage,
    )
