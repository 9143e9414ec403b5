"""Served files give a network back that answers as they do."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from compact_model.encoder import OTHER_LANGUAGES, inputs_of
from compact_router.export import ENCODER, export, provenance
from compact_router.learner import load_router, make_router
from compact_router.manifest import MODEL_DIRECTORY, VERSION, update_manifest
from compact_router.pretrained import MINILM
from compact_router.recover import recover
from torch.nn import functional

ALIKE = 0.995
"""Cosine of weights before and after their rounding to seven bits; of two layers it is near 0."""


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:# The axis name:UserWarning")  # torch's own
def test_every_weight_comes_back_under_its_name(tmp_path: Path) -> None:
    """No two layers of one shape change places: each has other weights."""
    torch.manual_seed(3)
    router = make_router(MINILM).eval()
    with torch.no_grad():
        for each in (*router.reader.parameters(), router.encoder.types.weight, router.encoder.weight_of):
            each.normal_(std=0.1)
    (tmp_path / VERSION).mkdir()
    export(router, MINILM, tmp_path / VERSION, "int8")
    update_manifest(tmp_path, network=provenance(MINILM, "int8"))

    document = recover(tmp_path)

    exact = router.state_dict()
    wrong = [
        name
        for name, found in document["router"].items()
        if functional.cosine_similarity(found.flatten(), exact[name].flatten(), dim=0) < ALIKE and exact[name].any()
    ]
    assert MINILM == document["encoder"]
    assert [] == wrong
    assert {name for name, each in router.named_parameters() if each.requires_grad} <= document["router"].keys()


@pytest.mark.parametrize("folder", ["", OTHER_LANGUAGES])
def test_the_network_that_is_served_can_be_trained_on(folder: str, tmp_path: Path) -> None:
    """What comes back of this tree's own files reads a sequence as they do."""
    torch.save(recover(MODEL_DIRECTORY, folder), tmp_path / "served.pt")
    router, _ = load_router(tmp_path / "served.pt")
    ids = torch.tensor([[101, 2129, 2079, 1045, 2131, 2026, 2769, 2067, 102]])
    types = torch.zeros_like(ids)
    with torch.inference_mode():
        expected, _ = router.encoder(ids, types, torch.ones_like(ids))

    session = onnxruntime.InferenceSession(str(MODEL_DIRECTORY / VERSION / folder / ENCODER))
    found = session.run(["vectors"], inputs_of([(tuple(ids[0].tolist()), tuple(types[0].tolist()))]))[0]

    assert 1.0 == pytest.approx(float(np.sum(expected.numpy() * found)), abs=0.02)
