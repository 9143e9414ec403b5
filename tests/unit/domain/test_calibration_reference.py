"""What drift is measured from."""

import numpy as np
import pytest

from archrouter.domain.scoring import CalibrationReference


def test_a_sample_gives_its_deciles_its_no_match_share_and_its_entropy() -> None:
    """A tenth of the sample lies between two deciles; certainty has no entropy, an even posterior all of it."""
    sample = [np.array([top, 1 - top]) for top in np.linspace(0.5, 1.0, 101)]

    reference = CalibrationReference.of(sample)

    assert np.linspace(0.55, 0.95, 9).tolist() == pytest.approx(reference.top_probability_deciles)
    assert 0.0 == reference.no_match_share
    assert 0.0 < reference.mean_entropy < 1.0


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ([0.0, 0.0, 1.0], (1.0, 1.0, 0.0)),
        ([1 / 3, 1 / 3, 1 / 3], (1 / 3, 0.0, 1.0)),
    ],
)
def test_the_ends_of_the_scale_are_reached(decision: list[float], expected: tuple[float, float, float]) -> None:
    """Impossible candidates are no error, and ties go to a route as in a decision."""
    reference = CalibrationReference.of([np.array(decision)] * 2)

    found = (reference.top_probability_deciles[4], reference.no_match_share, reference.mean_entropy)
    assert expected == pytest.approx(found)
