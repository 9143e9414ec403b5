"""Checks what the convert and quantize scripts wrote."""

from pathlib import Path

from engine.errors import BadInputError, StepFailedError
from engine.weights import read_weights

CONFIG_FILE = "config.json"


def check_tensors(folder: Path) -> None:
    """Check that a script that ended well also left what the compiler reads.

    Args:
        folder: Its output.

    Raises:
        StepFailedError: When the config is missing, or the weights are missing or cut short.
    """
    if not (folder / CONFIG_FILE).is_file():
        msg = f"the script ended well but wrote no {CONFIG_FILE}; its output stands above"
        raise StepFailedError(msg)
    try:
        read_weights(folder)
    except BadInputError as error:
        msg = f"the script ended well, but {error}"
        raise StepFailedError(msg) from error
