"""The committed model, and routes for it to choose from."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from compact_model.router import CompactRouter

MODEL_DIRECTORY = Path(__file__).parents[4] / "model_repository" / "compact_router"


@pytest.fixture(scope="session")
def model_directory() -> Path:
    """Return the model's folder in the model repository."""
    return MODEL_DIRECTORY


@pytest.fixture(scope="session")
def router() -> CompactRouter:
    """Load the committed model once for all tests."""
    return CompactRouter.load(MODEL_DIRECTORY / "1", intra_op_thread_count=1, candidate_cache_capacity=64)


@pytest.fixture(scope="session")
def candidates() -> Sequence[bytes]:
    """Return five routes as elements of the tensor ``candidates``."""
    routes = [
        ("code_generation", "coding", "generation", "Write new code, functions or scripts from a description"),
        ("translation", "writing", "translation", "Translate text from one language into another"),
        ("travel_booking", "travel", "booking", "Book flights, hotels or trains for a trip"),
        ("contract_law", "legal", "contract_law", "Answer questions about contracts and their clauses"),
        ("recipes", "cooking", "recipes", "Suggest recipes and explain how to cook a dish"),
    ]
    names = ("id", "domain", "action", "description")
    return [json.dumps(dict(zip(names, route, strict=True))).encode() for route in routes]
