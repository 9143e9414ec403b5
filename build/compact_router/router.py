"""The model without Triton, as the programs here load it."""

from pathlib import Path

from compact_model.router import CompactRouter

CACHE_CAPACITY = 100_000
"""Candidates whose vectors are kept: more than any data set here has, so that each is encoded once."""


def load_router(version_directory: Path, *, intra_op_thread_count: int) -> CompactRouter:
    """Load the model from its version folder.

    Args:
        version_directory: Holds encoder.onnx, reader.onnx, tokenizer.json and router.json.
        intra_op_thread_count: Threads of ONNX Runtime.

    Returns:
        The model.
    """
    return CompactRouter.load(
        version_directory,
        intra_op_thread_count=intra_op_thread_count,
        candidate_cache_capacity=CACHE_CAPACITY,
    )
