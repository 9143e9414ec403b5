"""Which precisions are refused, and why."""

import pytest
from engine.program import BadInputError
from engine.settings import Precision, check_gpu

ACCEPTED = [
    ("bf16", "8.0"),
    ("bf16", "12.0"),
    ("fp8", "8.9"),
    ("fp8", "9.0"),
    ("fp8", "10.0"),
    ("int4_awq", "8.6"),
    ("int4_awq", "12.0"),
    ("int8_wo", "9.0"),
]
REFUSED = [
    ("bf16", "7.5", "older than Ampere"),
    ("fp8", "8.6", "needs SM 89"),
    ("int4_awq", "10.0", "SM 100 to 119"),
    ("int8_wo", "10.3", "SM 100 to 119"),
    ("int8_wo", "11.9", "SM 100 to 119"),
    ("bf16", "sm_90", "not of the form"),
]


@pytest.mark.parametrize(("precision", "capability"), ACCEPTED)
def test_a_gpu_that_can_run_a_precision_is_accepted(precision: str, capability: str) -> None:
    """The rules exclude nothing they need not."""
    check_gpu(Precision(precision), capability)


@pytest.mark.parametrize(("precision", "capability", "reason"), REFUSED)
def test_a_gpu_that_cannot_is_refused_before_anything_runs(precision: str, capability: str, reason: str) -> None:
    """The message says what the GPU is and what it lacks."""
    with pytest.raises(BadInputError, match=reason):
        check_gpu(Precision(precision), capability)
