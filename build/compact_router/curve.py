"""The curve of a training run: written as it goes, drawn as a picture."""

import argparse
import json
import time
from pathlib import Path

SMOOTHING = 0.97
STEPS_PER_LINE = 20


class CurveLog:
    """Smooths loss and accuracy and writes a line now and then."""

    def __init__(self, path: Path, step_count: int) -> None:
        """Go on where a run was interrupted: lines of steps beyond ``step_count`` are dropped."""
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [json.loads(line) for line in lines if json.loads(line)["step"] <= step_count]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._loss: float | None = kept[-1]["loss"] if kept else None
        self._accuracy: float = kept[-1]["accuracy"] if kept else 0.0
        self._started_s = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)

    @property
    def loss(self) -> float:
        """The smoothed loss."""
        return float("nan") if self._loss is None else self._loss

    def add(self, step: int, loss: float, accuracy: float) -> None:
        """Note a step, numbered from 1, with the mean loss of its turns and the share of them that were right."""
        kept = 0.0 if self._loss is None else SMOOTHING
        self._accuracy = kept * self._accuracy + (1 - kept) * accuracy
        self._loss = kept * (self._loss or 0.0) + (1 - kept) * loss
        if step % STEPS_PER_LINE == 0:
            line = {
                "step": step,
                "loss": round(self._loss, 4),
                "accuracy": round(self._accuracy, 4),
                "seconds": round(time.monotonic() - self._started_s, 1),
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def main() -> None:
    """Draw a curve."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.curve", description="Draw a training curve.")
    parser.add_argument("log", type=Path, help="curve.jsonl of compact_router.train")
    parser.add_argument("picture", type=Path, help="SVG or PNG to write")
    arguments = parser.parse_args()
    draw(arguments.log, arguments.picture)


def draw(log: Path, picture: Path) -> None:
    """Draw loss and accuracy over the steps as SVG or PNG; the same bytes for the same log."""
    import matplotlib as mpl  # noqa: PLC0415 - only this function needs it, and it is in the extra `build` alone

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - see above

    mpl.rcParams["svg.hashsalt"] = "compact_router"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = [line["step"] for line in lines]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), constrained_layout=True)
    for axes, key, title in ((left, "loss", "cross-entropy"), (right, "accuracy", "turn accuracy")):
        axes.plot(steps, [line[key] for line in lines])
        axes.set(xlabel="step", title=f"{title} on turns not yet seen in this form (smoothed)")
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)
    plt.close(figure)


if __name__ == "__main__":
    main()
