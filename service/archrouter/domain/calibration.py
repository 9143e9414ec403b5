"""Calibration: what turns a model's belief into a probability that holds in practice.

Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number per model version, fitted on labelled
conversations. It never changes which candidate leads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.posterior import Posterior, log_softmax


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted temperature.

    Attributes:
        temperature: > 0; above 1 it flattens an over-confident model.
        sample_count: Labelled decisions it was fitted on; 0 means not calibrated.
    """

    temperature: float = 1.0
    sample_count: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no fit can produce."""
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            msg = f"calibration temperature is {self.temperature}; it must be a finite number above 0"
            raise ValueError(msg)
        if self.sample_count < 0:
            msg = f"calibration sample_count is {self.sample_count}; it must not be negative"
            raise ValueError(msg)

    @property
    def is_fitted(self) -> bool:
        """Whether labelled decisions stand behind the temperature."""
        return self.sample_count > 0

    def apply(self, posterior: Posterior) -> NDArray[np.float64]:
        """Calibrate a posterior.

        Args:
            posterior: Over C candidates, as the model gave it.

        Returns:
            float64 [C], probabilities that sum to 1 within 1e-6.
        """
        return np.exp(log_softmax(posterior.log_probabilities / self.temperature))
